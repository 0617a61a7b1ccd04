"""Records of the API in plain sentences and numbers, for the commands and the page. Pure.

numbers.py     figures as people read them
past_plans.py  what was planned at a moment, and why
anomalies.py   how far demand was from its forecast
compared.py    days of savings as figures of both sides, with intervals
verdict.py     whether it was worth it, in a sentence
wording.py     amounts in such a sentence
"""
