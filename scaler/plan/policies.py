"""The three named policies, as data: how far a plan looks, how long capacity is held, how far a forecast may run ahead.

A plan looks beyond the lead time. The HPA keeps replicas for five minutes (its stabilisation window) and moves in steps
of a tenth. So one order for the next minutes is worth more than several small ones, each a little late. Figures:
docs/decisions/0011; by policy: docs/decisions/0024.

hold_seconds × hold_quantile, a dip of demand before the next rise:

    | policy       | a dip is bridged when demand comes back within | as likely as not? |
    | aggressive   |  5 minutes                                     | yes (0.5)         |
    | balanced     | 15 minutes                                     | yes (0.5)         |
    | conservative | 30 minutes                                     | one time in four  |

step_factor × observation + step_replicas × threshold, the most a plan asks for beyond the record, in replicas:

    | demand now carries … replicas | 0  | 2  | 10 | 50  |
    | aggressive,   8 × + 10        | 10 | 26 | 90 | 410 |
    | balanced,     4 × + 5         |  5 | 13 | 45 | 205 |
    | conservative, 2 × + 3         |  3 |  7 | 23 | 103 |

The HPA at most doubles the replicas every 15 s, so in a lead time of two minutes even the aggressive limit is the HPA's
own. absurd_factor × the largest demand ever observed: a forecast above that is a broken forecast, not a busy day.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from scaler.trigger import PolicyName


@dataclass(frozen=True, slots=True)
class Policy:
    """One named set of hold and step limits."""

    name: PolicyName
    meaning: str
    beyond_seconds: float
    """a plan covers the lead time and this much more"""
    hold_seconds: float
    """capacity that is needed again within this time is kept; at least half a minute"""
    hold_quantile: float
    """how sure that need must be; lower than the trigger's own quantile, or holding costs as much as planning"""
    holds_known: bool
    """whether that counts, too, where past days know demand: they order it again in time, so others release it"""
    step_factor: float
    """a plan asks for at most this many times the observed demand …"""
    step_replicas: float
    """… plus what this many replicas carry"""
    absurd_factor: float
    """a plan never exceeds this many times the largest demand in the history"""


POLICIES: Mapping[PolicyName, Policy] = MappingProxyType(
    {
        policy.name: policy
        for policy in (
            Policy(
                PolicyName.AGGRESSIVE,
                "follows the forecast closely, up and down: for replicas that are expensive and start fast",
                beyond_seconds=60,
                hold_seconds=300,
                hold_quantile=0.5,
                holds_known=False,
                step_factor=8,
                step_replicas=10,
                absurd_factor=20,
            ),
            Policy(
                PolicyName.BALANCED,
                "bridges dips of a quarter of an hour; a large step up needs observed demand that supports it",
                beyond_seconds=300,
                hold_seconds=900,
                hold_quantile=0.5,
                holds_known=False,
                step_factor=4,
                step_replicas=5,
                absurd_factor=10,
            ),
            Policy(
                PolicyName.CONSERVATIVE,
                "few scale events: bridges dips of half an hour, plans for little more than twice the observed demand",
                beyond_seconds=600,
                hold_seconds=1800,
                hold_quantile=0.75,
                holds_known=True,
                step_factor=2,
                step_replicas=3,
                absurd_factor=5,
            ),
        )
    }
)
