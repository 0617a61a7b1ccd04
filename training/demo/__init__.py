"""`headway models demo`: the life of a model, from its training to the day on which it is rolled back.

jobs.py     generated demand of a workload whose jobs announce themselves, until it changes
making.py   a model is trained on it, judged by the gate, and promoted
stage.py    what happens and when
serving.py  the real service on a fast clock, asked as KEDA does
clock.py    that clock
life.py     what has happened to the model, from moment to moment, in words
asking.py   the commands that a user would run
"""
