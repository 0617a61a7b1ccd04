"""Scores of forecasts, and comparisons of models. Nothing here knows a model from the inside."""
