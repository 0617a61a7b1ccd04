"""`headway models demo`: the life of a model, from its training to the day on which it is rolled back.

jobs.py     generated demand of a workload whose jobs announce themselves, until others take their place
making.py   a model is trained on it, judged by the gate, and promoted
serving.py  the real service on a fast clock, and what changes from minute to minute
"""
