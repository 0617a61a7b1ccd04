"""`headway check`: a ScaledObject before it is applied, and a running scaler as KEDA sees it.

command.py      the steps, from the files to the exit status
scaler/checks    findings from the file alone
probes.py       the query at Prometheus, KEDA's calls at a scaler
keda_client.py  KEDA's calls in KEDA's order
report.py       the findings, for people and for programs
"""
