"""The HTTP port, for probes, Prometheus and people. It reads memory and changes nothing.

routes.py       paths → answers
records.py      a trigger → the JSON record that `headway why` and the API show
report.py       what a trigger without forecast lacks, until when, and what happens meanwhile
exposition.py   telemetry of ten thousand triggers, without holding up the event loop
server.py       uvicorn on the loop that serves KEDA
"""
