"""Training runs and comparisons, from recorded demand to a bundle or a report.

train.py        `headway train run`: data → windows → fit → scores → bundle
compare.py      `headway train compare`: recipes on the same windows
search.py       a search for better hyperparameters within a budget of minutes
sufficiency.py  whether there is enough recorded demand
shipped.py      the shipped bundle as a model to compare with
interrupts.py   Ctrl-C during a fit
"""
