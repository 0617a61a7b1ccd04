"""How long pods take: what may be written, what is drawn, and what nearly all pods need at most."""

import numpy as np
import pytest

from training.replay.simulation.start_up import Bimodal, Constant, Lognormal, StartUp, start_up

KINDS = [Constant(90.0), Lognormal(90.0, 0.4), Bimodal(40.0, 240.0, 0.2)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", Constant(90.0)),
        ("1m30s", Constant(90.0)),
        ("1.5m", Constant(90.0)),
        ("constant:2h", Constant(7200.0)),
        ("lognormal:90s,0.4", Lognormal(90.0, 0.4)),
        ("lognormal:2m, 0", Lognormal(120.0, 0.0)),
        ("bimodal:40s,4m,0.2", Bimodal(40.0, 240.0, 0.2)),
    ],
)
def test_reads_what_is_documented(text: str, expected: StartUp) -> None:
    """Each of the three forms, with any of the units."""
    assert start_up(text) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "''"),
        ("90", "'90' is not a positive duration"),
        ("0s", "'0s' is not a positive duration"),
        ("-5s", "'-5s' is not a positive duration"),
        ("infs", "'infs' is not a positive duration"),
        (f"{'9' * 400}s", "is not a positive duration"),
        ("90s,0.4", "90s,0.4"),
        ("lognormal:90s", "lognormal:90s"),
        ("lognormal:90s,4", "'4' is not a number from 0 to 3"),
        ("lognormal:90s,nan", "'nan' is not a number from 0 to 3"),
        ("lognormal:90s,much", "much"),
        ("bimodal:40s,240s,1.2", "'1.2' is not a number from 0 to 1"),
        ("bimodal:40s,0.2", "bimodal:40s,0.2"),
        ("bimodal:240s,40s,0.5", "a cold start of 40 s is shorter than a warm one of 240 s"),
        ("weibull:90s,2", "weibull"),
    ],
)
def test_refuses_what_is_none(text: str, told: str) -> None:
    """The message names the text, what is wrong with it and the forms there are."""
    with pytest.raises(ValueError, match="must be as 90s") as refused:
        start_up(text)
    assert told in str(refused.value)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_nine_in_ten_pods_need_no_more_than_the_usual(kind: StartUp) -> None:
    """And fewer need no more than a little less, wherever there is something between."""
    random = np.random.default_rng(1)
    drawn = np.array([kind.draw(random) for _ in range(20_000)])
    assert (drawn <= kind.usual).mean() >= 0.89
    assert (drawn < 0.9 * kind.usual).mean() < 0.88


def test_draws_have_the_configured_distribution() -> None:
    """Half of the lognormal pods need the median, and one in five comes on a new node."""
    random = np.random.default_rng(2)
    lognormal = np.log([Lognormal(90.0, 0.4).draw(random) for _ in range(20_000)])
    assert np.median(lognormal) == pytest.approx(np.log(90), abs=0.02)
    assert np.std(lognormal) == pytest.approx(0.4, abs=0.01)
    bimodal = [Bimodal(40.0, 240.0, 0.2).draw(random) for _ in range(20_000)]
    assert bimodal.count(240.0) / len(bimodal) == pytest.approx(0.2, abs=0.01)
    assert set(bimodal) == {40.0, 240.0}


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_same_seed_draws_the_same(kind: StartUp) -> None:
    """A replay can be repeated."""
    once, again = (np.random.default_rng(3) for _ in range(2))
    assert [kind.draw(once) for _ in range(9)] == [kind.draw(again) for _ in range(9)]


def test_a_rare_new_node_is_not_usual() -> None:
    """Where fewer than one pod in ten needs a new node, a lead time for a warm one serves nine in ten."""
    assert Bimodal(40.0, 240.0, 0.05).usual == 40
    assert Bimodal(40.0, 240.0, 0.15).usual == 240
