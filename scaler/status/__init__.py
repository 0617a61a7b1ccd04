"""The HTTP port, for probes, Prometheus and people. It reads memory and changes nothing.

routes.py       paths → answers
records.py      a trigger → the JSON record that `headway why` and the API show
report.py       what a trigger without forecast lacks, until when, and what happens meanwhile
exposition.py   telemetry of ten thousand triggers, without holding up the event loop
replies.py      JSON answers and refusals
access.py       who may read what: host names, client certificates, the read token
token.py        the file of the read token
shares.py       how many connections a client may hold, and whose piece of work comes next
connections.py  accepting connections, and ending those that make no progress
server.py       uvicorn on the loop that serves KEDA
"""
