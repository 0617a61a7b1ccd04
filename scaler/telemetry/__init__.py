"""What Headway says about itself.

metrics.py    every exported figure and every log event, in two tables
logs.py       structured logs on stderr
redaction.py  text with its secrets taken out
"""
