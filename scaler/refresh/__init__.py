"""The background path: history → forecast → plan → memory and cache. It never blocks an answer.

loop.py             one tick: observe, forecast, publish
tracked.py          the triggers that this process refreshes
backfill.py         fetching the past of a trigger
coordination.py     sharing the work with other replicas
checkpoint.py       what survives a restart
static_triggers.py  triggers from the settings, which KEDA never asks about
"""
