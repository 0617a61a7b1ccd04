"""The background path: history → forecast → plan → memory and cache. It never blocks an answer.

loop.py          one tick: own, choose, observe, forecast, publish
ownership.py     which triggers this replica refreshes
urgency.py       which of them a tick forecasts when there is no time for all (pure)
observing.py     newest demand, from the source into the history tables
forecasting.py   forecasts, in chunks, in a worker thread
publishing.py    outlooks, to this process's registry and to other replicas
tracked.py       the triggers that this process refreshes
backfill.py      fetching the past of a trigger
coordination.py  sharing the work with other replicas
checkpoint.py    what survives a restart
"""
