"""KEDA's strings → one frozen `Trigger`, or every fault at once. Pure: no clock, no I/O.

schema.py          every key, its default and its rule; the parser
values.py          one string → one value, for each kind of value
server_address.py  which metrics server a trigger may name
"""

from scaler.trigger.schema import (
    DEMAND_LIMIT,
    LARGEST_DEMAND,
    TRIGGER_KEYS,
    Mode,
    PolicyName,
    ServerIdentity,
    Trigger,
    TriggerRules,
    parse_trigger,
)

__all__ = [
    "DEMAND_LIMIT",
    "LARGEST_DEMAND",
    "TRIGGER_KEYS",
    "Mode",
    "PolicyName",
    "ServerIdentity",
    "Trigger",
    "TriggerRules",
    "parse_trigger",
]
