"""Inputs of learned models as graph nodes: written once, run in training, exported with the model."""
