"""The HTTP port: for probes, for Prometheus, for people who ask why. It reads memory and changes nothing.

routes.py       paths → answers
records.py      a watched trigger → the JSON record that `headway why`, the API and the page show
report.py       what a trigger without forecast lacks, until when, and what happens meanwhile
exposition.py   telemetry of ten thousand triggers, without holding up the event loop
server.py       uvicorn on the loop that serves KEDA
"""
