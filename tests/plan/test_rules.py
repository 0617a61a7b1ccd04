"""What holds for every plan, whatever the forecast and the observation."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.plan import Plan, Rung
from scaler.plan.hpa import Hpa, replicas_for
from scaler.plan.policies import POLICIES
from scaler.plan.rules import RULES, plan
from scaler.series import Forecast, Observation, Outlook
from scaler.trigger import Mode, PolicyName, Trigger
from tests.plan.strategies import NOW, any_outlooks, outlooks, triggers

pytestmark = pytest.mark.filterwarnings("ignore:(invalid value|overflow) encountered")


def planned(trigger: Trigger, outlook: Outlook) -> Plan:
    return plan(trigger, outlook, NOW, 15.0)


@given(triggers, any_outlooks)
def test_no_answer_only_where_nothing_is_usable(trigger: Trigger, outlook: Outlook) -> None:
    """The rung NOTHING and the missing metric mean the same. A predictive plan gets there without both sources, or
    without an observation where it would put the workload to sleep."""
    made = planned(trigger, outlook)
    assert (made.rung is Rung.NOTHING) == (made.metric is None)
    if trigger.mode is Mode.PREDICTIVE:
        assert made.rung is not Rung.NOTHING or made.observed is None
        assert made.rung is Rung.NOTHING or made.observed is not None or made.need is not None


@given(triggers, any_outlooks)
def test_reasons_lead_from_nothing_to_the_plan(trigger: Trigger, outlook: Outlook) -> None:
    """Every plan has a reason, each starts where the one before ended, and the last one ends at the answer."""
    made = planned(trigger, outlook)
    changes = [reason for reason in made.reasons if reason.before is not None]
    assert made.reasons
    assert all(first.after == then.before for first, then in pairwise(changes))
    assert not changes or made.metric == changes[-1].after
    assert all(reason.text for reason in made.reasons)


@given(triggers, outlooks, st.floats(0, 1e6), st.floats(0, 1e6))
def test_more_observed_never_means_fewer(trigger: Trigger, outlook: Outlook, one: float, other: float) -> None:
    """More demand gives no smaller plan."""
    low, high = sorted((one, other))
    base = outlook.observation or Observation(NOW, 0.0, 0.0, 1e6)
    seen = [
        planned(trigger, replace(outlook, observation=replace(base, value=value, recent_peak=max(value, 10.0))))
        for value in (low, high)
    ]
    less, more = (made.metric for made in seen)
    unlifted = min(
        (r.before for r in seen[0].reasons if r.rule == "dead_band" and r.before is not None), default=less or 0.0
    )
    assert less is None or (more is not None and more >= min(less, unlifted))


@given(there=st.integers(1, 10_000), short=st.floats(1.031, 3), milli=st.integers(10, 10**8))
def test_growth_that_matters_moves_the_hpa(there: int, short: float, milli: int) -> None:
    """Where more than 3 % more than there is is needed, the HPA orders it, up to its own limit."""
    threshold = milli / 1000
    need = np.float32(threshold * there * short)
    steps = np.full((60, 1), need, np.float32)
    outlook = Outlook(
        NOW,
        Observation(NOW, float(need) / 2, float(need) / 2, float(need)),
        Forecast(NOW, 60.0, (0.9,), steps, (), None, "test@1"),
        remembered={"replicas": there},
    )
    trigger = Trigger("shop", "web", "demand", threshold, "http://prometheus")
    metric = planned(trigger, outlook).metric
    after = replicas_for(metric, threshold, there, NOW, Hpa(max_replicas=10**7)).replicas
    assert after >= min(math.ceil((need - 0.001) / threshold * (1 - 1e-6)), 2 * there)


def test_policies_get_more_careful() -> None:
    """From aggressive to conservative: looking further, held longer, smaller steps, less believed."""
    aggressive, balanced, conservative = (POLICIES[name] for name in PolicyName)
    for careful, bold in ((balanced, aggressive), (conservative, balanced)):
        assert (careful.hold_seconds, careful.hold_quantile) >= (bold.hold_seconds, bold.hold_quantile)
        assert careful.beyond_seconds > bold.beyond_seconds
        assert careful.step_factor < bold.step_factor
        assert careful.step_replicas < bold.step_replicas
        assert careful.absurd_factor < bold.absurd_factor


def test_the_list_of_rules_is_the_policy() -> None:
    """The order in which the rules apply is part of what the plan promises."""
    assert [rule.name for rule in RULES] == [
        *("need", "coverage", "calibration", "order", "surge", "floor"),
        *("returning", "hold"),
        *("dead_band", "step_limit", "absurd"),
    ]


@pytest.mark.parametrize(
    ("model", "is_named"), [("auto", False), ("test", False), ("test@1", False), ("test@2", True), ("nonsense", True)]
)
def test_a_forecast_of_another_model_is_a_reason(model: str, is_named: bool) -> None:
    """A plan says when the model that the trigger names did not make the forecast, and which one did."""
    trigger = Trigger("shop", "web", "demand", 10.0, "http://prometheus", model=model)
    row = np.full((120, 1), 50, np.float32)
    outlook = Outlook(NOW, Observation(NOW, 40, 40, 40), Forecast(NOW, 60.0, (0.9,), row, (), None, "test@1"))
    made = plan(trigger, outlook, NOW, 15)
    texts = [reason.text for reason in made.reasons]
    assert made.rung is Rung.BOTH
    assert (f"the trigger names model {model}; test@1 made the forecast instead" in texts) is is_named
