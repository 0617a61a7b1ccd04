"""Strings → one frozen `Trigger`, or one error that lists every fault. No I/O, no clock."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class TriggerRules:
    """What the operator allows in a trigger."""

    default_server: str = ""
    """used where a trigger brings no `serverAddress`; empty: then it must bring one"""
    allowed_servers: tuple[str, ...] = ()
    """shell patterns (`http://prometheus.*:9090`) a `serverAddress` must match; the default server is always allowed"""
    max_query_length: int = 4096
    """characters"""


class Mode(StrEnum):
    PREDICTIVE = "predictive"
    SHADOW = "shadow"
    REACTIVE = "reactive"


class PolicyName(StrEnum):
    AGGRESSIVE = "aggressive"
    BALANCED = "balanced"
    CONSERVATIVE = "conservative"


@dataclass(frozen=True, slots=True)
class Trigger:
    """The validated form of one ScaledObject's `scalerMetadata` plus its namespace and name."""

    namespace: str
    name: str
    query: str
    threshold: float
    server_address: str
    activation_threshold: float = 0.0
    lead_time_seconds: float = 120.0
    quantile: float = 0.9
    mode: Mode = Mode.PREDICTIVE
    policy: PolicyName = PolicyName.BALANCED
    model: str = "auto"
    timezone: str = "UTC"
    history_window_seconds: float = 14 * 86400.0
    query_step_seconds: float | None = None
    max_staleness_seconds: float = 300.0
    ignore_null_values: bool = False
    tenant: str = ""
    query_parameters: tuple[tuple[str, str], ...] = ()
    timeout_seconds: float | None = None
    key: str = ""
    """namespace/name/hash of the relevant metadata: what state is kept under"""
