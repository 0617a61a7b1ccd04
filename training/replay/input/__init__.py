"""The input of a replay.

recorded.py       demand from a file or from Prometheus
scaled_object.py  the workload's settings from YAML
demand_checks.py  whether a query returns demand at all
case.py           all of it as one `ReplayCase`
"""
