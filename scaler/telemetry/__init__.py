"""What Headway says about itself.

metrics.py    every exported figure, in one table
events.py     every log event, in one table
logs.py       structured logs on stderr
redaction.py  text with its secrets taken out
"""
