"""Headway, the online service. The tree is the data flow:

    trigger/   KEDA's strings → a frozen Trigger, or every fault at once
    history/   demand from a metric source, on the grid that a bundle wants
    forecast/  quantiles of future demand, computed in batches, shared through a cache
    scoring/   how good they turned out
    plan/      pure rules: the quantile of the coming peak, floor, holds, limits, with reasons
    metric/    what KEDA talks to: the five RPCs

There are two paths:

    refresh/               in the background: history → forecast → plan → registry and cache
    registry.py, decide.py while KEDA waits: this process's memory → plan → reply; no I/O, no model

app/ composes them into a process. bundle/ is the contract with training, store/ SQL, status/ the HTTP port,
telemetry/ every exported figure and log line, settings/ what an operator sets, cli.py and commands/ the command line.
series.py holds the values that travel, errors.py the ways to fail. docs/architecture.md has a picture.
"""

import os

__version__ = "0.1.0"

# Nothing leaves the cluster: from 1.29 on onnxruntime sends telemetry and keeps a device id in the user's cache, unless
# it is told not to before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
