"""The loop: what KEDA and the HPA make of a policy's answers, and what the cluster makes of theirs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.plan.hpa import Behavior, Hpa
from training.data.load import Series
from training.replay.policies.reactive import Reactive
from training.replay.simulation.demand import Demand
from training.replay.simulation.loop import NO_CALM, Run, Scaler, replay
from training.replay.simulation.policy import Metric, PolicyAnswer
from training.replay.simulation.scenario import Keda, Scenario, Setting, Span
from training.replay.simulation.start_up import Constant, Lognormal

START = 1_700_000_100.0
SETTING = Setting(threshold=10.0, capacity=12.0, start_up=Constant(30.0))
SLEEPY = replace(SETTING, scales_to_zero=True, keda=Keda(polling_seconds=30.0, cooldown_seconds=120.0))


def scenario(minutes: Sequence[float], setting: Setting = SETTING, before: int = 10) -> Scenario:
    """Demand of each minute; `before` of them lie before the period that is replayed."""
    series = Series("shop", "web", "req", START, 60, np.array(minutes, np.float32))
    return Scenario(Demand(series), setting, Span(START + 60 * before, series.end))


class Scripted:
    """Answers as they are told, the last one for ever."""

    name = "scripted"

    def __init__(self, *answers: PolicyAnswer) -> None:
        self._answers = answers

    def answer(self, k: int, replicas: int) -> PolicyAnswer:
        return self._answers[min(k, len(self._answers) - 1)]


def told(*values: float | None, active: bool = True) -> PolicyAnswer:
    """Metrics at a target of 10."""
    return PolicyAnswer(tuple(Metric(value, 10.0) for value in values), active)


def asked(setting: Setting, current: int, *answers: PolicyAnswer) -> list[int]:
    """Replicas after each sync, 15 s apart, the first of them KEDA's first poll."""
    scaler, seen = Scaler(setting), []
    for number, answer in enumerate(answers):
        current = scaler.replicas(answer, current, START + 15 * number)
        seen.append(current)
    return seen


def test_a_step_of_demand_by_hand() -> None:
    """Demand doubles at 600 s; each sync sees a quarter more of it, a window late, and pods serve half a minute later.

    | sync at    | 607.5 | 622.5 | 637.5 | 652.5 | 667.5 | 682.5 | 697.5 |
    | seen       | 100   | 112.5 | 137.5 | 162.5 | 187.5 | 200   | 200   |
    | replicas   | 10    | 12    | 14    | 17    | 19    | 19 (within 10 %) |
    | that serve | 10    | 10    | 10    | 12    | 14    | 17    | 19    |
    """
    one = scenario([100.0] * 10 + [200.0] * 3, before=9)
    run = replay(one, Reactive(one))
    first = int(np.searchsorted(one.sync_K, START + 607.5))
    assert (run.replicas_K[:first] == 10).all()
    assert run.metric_K[first:][:7].tolist() == pytest.approx([100, 112.5, 137.5, 162.5, 187.5, 200, 200])
    assert run.replicas_K[first:][:7].tolist() == [10, 12, 14, 17, 19, 19, 19]
    assert run.ready_K[first:][:7].tolist() == [10, 10, 10, 12, 14, 17, 19]
    assert run.capacity_K[first:][:7].tolist() == [120, 120, 120, 144, 168, 204, 228]
    short = [(150 - 120) * 15, *[80 * 15] * 3, 56 * 15, 32 * 15, 0, 0]
    assert run.unserved_K[first - 1 :][:8].tolist() == pytest.approx(short)


def test_what_waits_too_long_is_lost() -> None:
    """Of a lasting overload only 30 seconds' worth waits, the rest goes away."""
    setting = replace(SETTING, hpa=Hpa(max_replicas=10), max_queue_wait_seconds=30.0)
    one = scenario([100.0] * 10 + [240.0] * 3, setting, before=9)
    run = replay(one, Reactive(one))
    assert run.unserved_K.sum() - run.lost_K.sum() == pytest.approx(120 * 30.0)
    assert run.delay_K.max() == 30


def test_metrics_within_the_tolerance_change_nothing() -> None:
    """A tenth up or down is no reason to scale, a little more is."""
    calm = scenario([100.0] * 11 + [109.0] * 5 + [91.0] * 10)
    assert set(replay(calm, Reactive(calm)).replicas_K.tolist()) == {10}
    less = replace(SETTING, hpa=Hpa(tolerance_up=0.05))
    stricter = scenario([100.0] * 11 + [109.0] * 5, less)
    assert replay(stricter, Reactive(stricter)).replicas_K[-1] == 11


def test_fewer_replicas_come_after_the_stabilisation_window() -> None:
    """Demand halves; the last full recommendation counts for 300 s more, and that is all the delay there is."""
    one = scenario([100.0] * 11 + [50.0] * 10)
    run = replay(one, Reactive(one))
    fell = one.sync_K[np.flatnonzero(run.replicas_K < 10)[0]]
    stayed = one.sync_K[np.flatnonzero(run.metric_K >= 90)[-1]]
    assert fell == stayed + 315
    assert run.replicas_K[-1] == 5


def test_the_largest_of_several_metrics_counts() -> None:
    """Each proposes, the HPA follows the one that wants most."""
    assert asked(SETTING, 4, told(50.0, 70.0), told(90.0, 70.0)) == [7, 9]


@given(
    st.lists(
        st.tuples(st.sampled_from([*range(88, 113), None]), st.sampled_from([None, 20.0, 95.0, 110.0, 111.0])),
        min_size=20,
    ),
    st.sampled_from(
        [
            Hpa(downscale_stabilization_seconds=0),
            Hpa(tolerance_down=0.02, downscale_stabilization_seconds=30),
            Hpa(behavior=Behavior()),
            Hpa(max_replicas=10),
        ]
    ),
    st.booleans(),
)
def test_a_calm_sync_is_one_at_which_the_hpa_changes_nothing(
    metrics: list[tuple[float | None, float | None]], hpa: Hpa, has_two: bool
) -> None:
    """Skipping the arithmetic where its outcome is known gives what the arithmetic gives, also later."""
    answers = [told(*pair) if has_two else told(pair[0]) for pair in metrics]
    setting = replace(SETTING, hpa=hpa)
    quick, slow, current = Scaler(setting), Scaler(setting), 10
    for number, answer in enumerate(answers):
        now = START + 15 * number
        slow._calm = NO_CALM
        expected = slow.replicas(answer, current, now)
        assert quick.replicas(answer, current, now) == expected
        current = expected


def test_without_any_metric_replicas_stay() -> None:
    """For as long as the only trigger answers errors."""
    run = replay(scenario([100.0] * 30), Scripted(told(100.0), told(None)))
    assert set(run.replicas_K.tolist()) == {10}
    assert np.isnan(run.metric_K[1:]).all()


def test_an_error_forbids_only_scaling_down() -> None:
    """What the others ask for is done when it is more, and not done when it is less."""
    eager = replace(SETTING, hpa=Hpa(downscale_stabilization_seconds=0))
    assert asked(eager, 5, told(80.0, None), told(30.0, None), told(30.0, 20.0), told(30.0, 20.0)) == [8, 8, 3, 3]


def test_a_sleeping_workload_wakes_at_a_poll() -> None:
    """Whatever becomes active between two polls waits for the next one; from one replica on the HPA leads."""
    asleep, awake = told(0.0, active=False), told(80.0)
    assert asked(SLEEPY, 0, asleep, awake, awake, awake) == [0, 0, 4, 8]
    assert asked(SLEEPY, 0, awake) == [4]


def test_a_workload_never_active_sleeps_at_the_first_poll() -> None:
    """There is no cooldown before there was any activity, and inactivity beats any metric value."""
    assert asked(SLEEPY, 5, told(80.0, active=False)) == [0]


def test_a_workload_sleeps_when_it_was_inactive_for_the_cooldown() -> None:
    """Checked at polls only: the first one more than 120 s after the last active one."""
    calm = told(1.0, active=False)
    seen = asked(SLEEPY, 1, told(1.0), told(1.0), *[calm] * 12)
    assert seen.index(0) == 10
    assert set(seen[10:]) == {0}


def test_without_scaling_to_zero_activity_changes_nothing() -> None:
    """The last replica stays where the ScaledObject's minimum is one."""
    assert asked(SETTING, 5, *[told(0.0, active=False)] * 40)[-1] == 1


@pytest.mark.parametrize("broken", [told(None, active=False), told(0.0, None, active=False)], ids=["all", "one of two"])
def test_errors_never_put_a_workload_to_sleep(broken: PolicyAnswer) -> None:
    """Nobody knows whether the trigger that failed is inactive; nor does it wake one."""
    assert set(asked(SLEEPY, 3, told(30.0), *[broken] * 40)) == {3}
    assert set(asked(SLEEPY, 0, *[broken] * 5)) == {0}


def test_activity_next_to_an_error_wakes_but_does_not_keep_awake() -> None:
    """KEDA notes no activity while another trigger fails, except when it scales from zero."""
    partly, calm = told(10.0, None), told(1.0, 1.0, active=False)
    assert asked(SLEEPY, 0, partly)[0] == 1
    seen = asked(SLEEPY, 1, told(10.0, 10.0), told(10.0, 10.0), *[partly] * 10, calm, calm)
    assert seen[-2:] == [0, 0]


def test_starts_with_what_the_policy_asks_for_first() -> None:
    """As if it had been there for long: no growth limit, all pods ready; within the HPA's bounds."""
    assert replay(scenario([900.0] * 12), Scripted(told(730.0))).ready_K[0] == 73
    few = scenario([900.0] * 12, replace(SETTING, hpa=Hpa(max_replicas=20)))
    assert replay(few, Scripted(told(730.0))).ready_K[0] == 20


def test_starts_from_the_newest_known_demand_when_the_first_answer_fails() -> None:
    """And with the least replicas where nothing is known; never from what comes later."""
    nan = float("nan")
    gap = scenario([120.0] * 8 + [nan] * 4 + [700.0] * 8)
    assert replay(gap, Reactive(gap)).replicas_K[0] == 12
    nothing = scenario([nan] * 12 + [700.0] * 8)
    assert replay(nothing, Reactive(nothing)).replicas_K[0] == 1
    calm = scenario([0.0] * 12 + [700.0] * 8)
    assert replay(calm, Reactive(calm)).replicas_K[0] == 1


def figures(run: Run) -> list[bytes]:
    return [getattr(run, name).tobytes() for name in Run.__annotations__ if name.endswith("_K")]


def test_the_same_seed_gives_the_same_run() -> None:
    """Every figure; and another seed draws other pods."""
    noisy = np.random.default_rng(3).gamma(4, 25, 200).tolist()
    one, again, other = (
        scenario(noisy, replace(SETTING, start_up=Lognormal(60.0, 0.8), seed=seed)) for seed in (7, 7, 8)
    )
    once = figures(replay(one, Reactive(one)))
    assert once == figures(replay(again, Reactive(again)))
    assert once != figures(replay(other, Reactive(other)))


def test_reasons_are_kept_where_they_are_wanted() -> None:
    """One tuple per sync, or none at all."""
    one = scenario([100.0] * 12)
    policy = Scripted(told(100.0)._replace(reasons=("because",)))
    assert replay(one, policy, with_reasons=True).reasons == (("because",),) * len(one)
    assert replay(one, policy).reasons == ()
