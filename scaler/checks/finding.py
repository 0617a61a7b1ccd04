"""A finding of a rule, and what a rule may know besides the ScaledObject."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from scaler.manifest import FieldPath
from scaler.trigger import TriggerRules

NEWEST_KEDA = (2, 20, 2)

ANY_SERVER = TriggerRules(default_server="http://the-scalers-default", allowed_servers=("*",))
"""only the scaler knows what its operator allows"""


class Level(StrEnum):
    ERROR = "error"
    """does not work, or does something else than the file says"""
    WARNING = "warning"
    """works today and causes harm in an outage or at a peak"""
    ADVICE = "advice"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: what is wrong and why it matters, what to write instead, and where."""

    level: Level
    rule: str
    text: str
    fix: str
    path: FieldPath = ()
    example: str = ""
    """lines of YAML to copy, after `fix`"""


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of the cluster besides the file."""

    keda_version: tuple[int, int, int] = NEWEST_KEDA
    trigger_rules: TriggerRules = ANY_SERVER
    tls_parameters: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """TriggerAuthentications in the same file: name → parameters"""


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
