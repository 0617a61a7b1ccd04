"""The composition root: settings → ports → backends → running tasks → graceful stop.

service.py      one scaler process: its ports, and the engine behind them
engine.py       what answers are made from: backends, refresh, checkpoint, and the tasks that run them
backends.py     source, catalog, cache and store, opened from the settings
expiry.py       when certificates expire
early.py        triggers that are registered before the engine is open
signals.py      drain, reload, or nothing
reload.py       what is read again without a restart
tasks.py        background tasks that are restarted when they fail
scheduling.py   what the process asks of the operating system and of Python
"""
