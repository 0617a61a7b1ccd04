"""The composition root: settings → parts → running tasks → graceful stop.

The gRPC port opens first: metric specs need nothing else. Everything heavy is imported and started after that.
"""

import asyncio
import contextlib
import signal
import socket
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from scaler.clock import Clock, SystemClock
from scaler.decide import Desk, Watched
from scaler.forecast import ForecastCache
from scaler.history import MetricSource
from scaler.metric.server import MetricServer
from scaler.settings import Settings
from scaler.telemetry import Telemetry
from scaler.trigger import TriggerRules

log = structlog.get_logger()
