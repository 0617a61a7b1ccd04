"""The background path: history → forecast → plan → memory and cache. It never blocks an answer.

Every refresh:

loop.py              one tick: own, choose, observe, forecast, publish
ownership.py         which triggers this replica refreshes
coordination.py      sharing the work with other replicas
urgency.py           which of them a tick forecasts when there is no time for all (pure)
observing.py         newest demand, from the source into the history tables
forecasting.py       forecasts, in chunks, in a worker thread
combining.py         what past days show, mixed into them
explaining.py        which edge of past days explains a forecast
publishing.py        outlooks, to this process's registry and to other replicas
tracked.py           the triggers that this process refreshes

What came of it, once a minute:

scoring.py           forecasts whose time has come; score_records.py, keeping_scores.py: into the store;
                     lead_scores.py: into telemetry, by lead
past_plans.py        plans that are worth keeping; keeping_plans.py: into the store
accounts.py          what a trigger was worth, by the hour
anomalies.py         demand outside of the band of its forecast; saving_anomalies.py: into the store
doubting.py          whether forecasts are uncertain
probation.py         new champions beside what they replaced

The past, and what survives a restart:

backfill.py          fetching the past of a trigger; spans.py, workers.py: of what, and by whom (pure)
rehearsal.py         scores of the experts of a new trigger, from its past
saving.py            the long history into the store; saving_minutes.py: past days by the minute
restoring.py         both out of it
keeping_conclusions.py  what the planner has concluded, into the store and back
stored_apart.py      which queries are never joined
checkpoint.py        which triggers are watched
rounds.py            how often all of these write and sweep
local_time.py        how far time zones are ahead of UTC
"""
