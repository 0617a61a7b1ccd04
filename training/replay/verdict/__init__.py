"""From runs to a verdict.

candidates.py  which policies run, on several cores
score.py       what a run cost and what it served
pareto.py      comparisons at equal cost and at equal service
slo.py         the service level objective
judge.py       search on the first part of the history, verdict on the rest
"""
