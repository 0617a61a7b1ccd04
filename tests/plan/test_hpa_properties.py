"""What holds for an HPA over any run of syncs, whatever the metrics do: bounds, rates, stabilisation and memory."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from scaler.plan.hpa import Behavior, Direction, Hpa, HpaState, PolicyType, RatePolicy, Select, Stamped, Sync, sync

START = 1_700_000_000.0
FIVE_MINUTES = 300.0

replica_counts = st.integers(0, 300)
rate_policies = st.builds(
    RatePolicy, st.sampled_from(PolicyType), st.integers(1, 150), st.sampled_from([15.0, 60.0, FIVE_MINUTES])
)
# both directions look back as far, or the changes of one are forgotten before the other's period is over
kept_long = RatePolicy(PolicyType.PODS, 1, FIVE_MINUTES)
directions = st.builds(
    lambda window, policies, select: Direction(window, (*policies, kept_long), select),
    st.sampled_from([0.0, 30.0, FIVE_MINUTES]),
    st.lists(rate_policies, max_size=2),
    st.sampled_from(Select),
)
behaviors = st.builds(Behavior, directions, directions)
bounds = st.tuples(st.integers(1, 20), st.integers(0, 300)).map(lambda pair: (pair[0], pair[0] + pair[1]))
syncs = st.lists(st.lists(st.none() | replica_counts, min_size=1, max_size=3), min_size=1, max_size=40)
windows = st.sampled_from([0.0, 15.0, 100.0, FIVE_MINUTES, 3600.0])
recommendations = st.lists(st.tuples(st.floats(-900, -15), replica_counts), max_size=8).map(
    lambda past: HpaState(tuple(Stamped(START + at, replicas) for at, replicas in sorted(past)))
)


def followed(hpa: Hpa, current: int, proposals: Sequence[list[int | None]]) -> Iterator[tuple[float, int, Sync]]:
    """(moment, replicas before, result) of a sync every 15 s."""
    state = HpaState()
    for number, proposed in enumerate(proposals):
        now = START + 15 * number
        result = sync(hpa, state, current, proposed, now)
        yield now, current, result
        current, state = result.replicas, result.state


@given(bounds, st.none() | behaviors, st.integers(0, 300), syncs)
def test_never_leaves_its_bounds(
    least_most: tuple[int, int], behavior: Behavior | None, inside: int, proposals: list[list[int | None]]
) -> None:
    """From replicas between min and max it never comes to replicas that are not."""
    least, most = least_most
    hpa = Hpa(least, most, behavior=behavior)
    for _, _, result in followed(hpa, min(max(inside, least), most), proposals):
        assert least <= result.replicas <= most


@given(st.integers(1, 300), syncs)
def test_grows_at_most_twofold_without_behavior(current: int, proposals: list[list[int | None]]) -> None:
    """In one sync to twice the replicas or to four, whichever is more; and to no more than was ever proposed."""
    most = current
    for (_, before, result), proposed in zip(
        followed(Hpa(max_replicas=300), current, proposals), proposals, strict=True
    ):
        most = max([most, *(one for one in proposed if one is not None)])
        assert result.replicas <= max(2 * before, 4)
        assert result.replicas <= most


def furthest(direction: Direction, replicas_at: dict[float, int], now: float, up: bool) -> int:
    """How far the policies allow from the replicas that there were when their periods began."""
    limits = []
    for policy in direction.policies:
        base = replicas_at[max(START - 15, now - policy.period_seconds)]
        sign = 1 if up else -1
        # in floats, as Kubernetes has it: 100 × (1 - 0.9) is a little less than 10
        share = base * (1 + sign * policy.value / 100)
        by_percent = math.ceil(share) if up else int(share)
        limits.append(base + sign * policy.value if policy.type is PolicyType.PODS else by_percent)
    return min(limits) if up == (direction.select is Select.MIN) else max(limits)


@given(behaviors, st.integers(1, 300), syncs)
def test_rate_policies_hold_over_their_periods(
    behavior: Behavior, current: int, proposals: list[list[int | None]]
) -> None:
    """Each change stays within what is allowed from the replicas that there were when the period began."""
    replicas_at = {START - 15: current}
    for now, before, result in followed(Hpa(max_replicas=300, behavior=behavior), current, proposals):
        replicas_at[now] = result.replicas
        if result.replicas > before:
            assert behavior.up.select is not Select.DISABLED
            assert result.replicas <= furthest(behavior.up, replicas_at, now, up=True)
        elif result.replicas < before:
            assert behavior.down.select is not Select.DISABLED
            assert result.replicas >= furthest(behavior.down, replicas_at, now, up=False)


@given(recommendations, st.none() | behaviors, st.integers(1, 300), replica_counts, replica_counts)
def test_a_larger_proposal_never_gives_fewer(
    state: HpaState, behavior: Behavior | None, current: int, one: int, other: int
) -> None:
    """With whatever was recommended before."""
    hpa = Hpa(max_replicas=300, behavior=behavior)
    fewer, more = (sync(hpa, state, current, [proposed], START).replicas for proposed in sorted((one, other)))
    assert fewer <= more


@given(recommendations, st.integers(1, 300), replica_counts, windows, windows)
def test_a_longer_window_never_scales_down_further(
    state: HpaState, current: int, proposed: int, one: float, other: float
) -> None:
    """Without behavior, and with it."""

    def plain(window: float) -> Hpa:
        return Hpa(max_replicas=300, downscale_stabilization_seconds=window)

    def behaving(window: float) -> Hpa:
        return Hpa(max_replicas=300, behavior=Behavior(down=replace(Behavior().down, stabilization_seconds=window)))

    for hpa in (plain, behaving):
        shorter, longer = (sync(hpa(s), state, current, [proposed], START).replicas for s in sorted((one, other)))
        assert shorter <= longer


@given(recommendations, st.integers(1, 300), replica_counts, windows, windows)
def test_a_longer_window_never_scales_up_further(
    state: HpaState, current: int, proposed: int, one: float, other: float
) -> None:
    """The window of scaling up is its mirror."""
    shorter, longer = (
        sync(
            Hpa(max_replicas=300, behavior=Behavior(up=replace(Behavior().up, stabilization_seconds=seconds))),
            state,
            current,
            [proposed],
            START,
        ).replicas
        for seconds in sorted((one, other))
    )
    assert longer <= shorter


@given(st.none() | behaviors, windows, st.lists(st.integers(1, 12), min_size=1, max_size=60))
def test_what_is_forgotten_would_never_have_counted(
    behavior: Behavior | None, window: float, wanted: list[int]
) -> None:
    """An HPA that keeps every recommendation it ever made comes to the same replicas at every sync."""
    hpa = Hpa(downscale_stabilization_seconds=window, behavior=behavior)
    everything = [Stamped(START, wanted[0])]
    state = HpaState(tuple(everything))
    for (now, before, result), one in zip(followed(hpa, wanted[0], [[one] for one in wanted]), wanted, strict=True):
        remembering = sync(hpa, state._replace(recommendations=tuple(everything)), before, [one], now)
        assert remembering.replicas == result.replicas
        state = result.state
        everything.append(Stamped(now, one))


@given(behaviors, st.lists(st.integers(1, 12), min_size=1, max_size=60))
def test_moves_only_as_far_as_all_recent_recommendations_agree(behavior: Behavior, wanted: list[int]) -> None:
    """Up to the least of those within the window of scaling up, down to the largest of the other's."""
    made = [(START, wanted[0])]
    run = followed(Hpa(behavior=behavior), wanted[0], [[one] for one in wanted])
    for (now, before, result), one in zip(run, wanted, strict=True):
        made.append((now, one))
        direction = behavior.up if result.replicas > before else behavior.down
        recent = [replicas for at, replicas in made if at > now - direction.stabilization_seconds or at == now]
        if result.replicas > before:
            assert result.replicas <= min(recent)
        elif result.replicas < before:
            assert result.replicas >= max(recent)


@given(st.none() | behaviors, st.integers(1, 300), syncs)
def test_a_failed_metric_never_scales_down(
    behavior: Behavior | None, current: int, proposals: list[list[int | None]]
) -> None:
    """Beyond what the others' earlier proposals decide: with a failure, no sync proposes fewer than there are."""
    for (_, before, result), proposed in zip(
        followed(Hpa(max_replicas=300, behavior=behavior), current, proposals), proposals, strict=True
    ):
        if None in proposed:
            assert result.replicas >= before
