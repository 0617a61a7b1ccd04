"""Headway, the online service. The tree is the data flow:

    trigger   trigger.py     KEDA's strings → a frozen Trigger, or every fault at once
    history   history/       demand from Prometheus (or a recording), on the grid a bundle wants
    forecast  forecast/      quantiles of demand to come, computed in batches; cached here and in Redis
    plan      plan/          pure rules: the p90 of the coming peak, floors, holds, limits, with reasons
    metric    metric/        what KEDA talks to: the five RPCs

Two paths, and no third:

    refresh.py   in the background: history → forecast → plan → memory and cache → wake push streams
    decide.py    while KEDA waits: this process's memory → plan → reply; no I/O, no model

app.py composes the parts, settings.py holds what an operator sets, cli.py is the command line, series.py has the
values that travel, errors.py the ways to fail, telemetry.py every exported figure, status/ the HTTP port, store/ SQL.
"""

import os

__version__ = "0.1.0"

# Nothing leaves the cluster: from 1.29 on onnxruntime sends telemetry and keeps a device id in the user's cache, unless
# it is told not to before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
