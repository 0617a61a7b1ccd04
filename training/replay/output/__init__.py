"""What a replay prints and writes.

wording.py    the sentences and figures that all outputs share
table.py      the terminal
report.py     the page;  figures/  its pictures
decisions.py  every decision as CSV
"""
