"""The bundle that ships: a model that has never met the series it forecasts.

data.py     what it learns from: recorded systems whose terms allow it, mixtures of them, and synthetic demand
scores.py   how it does on systems that it has not seen, by window length and by how much history there is
bundle.py   the command behind `make default-bundle`
"""
