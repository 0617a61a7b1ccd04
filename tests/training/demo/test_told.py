"""What is told of the life of a model, from what is seen of it."""

from itertools import pairwise

from scaler.plan import Plan, Reason, Rung
from training.demo.life import Life, Seen, answered, headline, lived, why_not

MODEL = "own@1"


def plan(model: str, rung: Rung, reasons: tuple[Reason, ...] = ()) -> Plan:
    return Plan(0.0, rung, 1234.0, 1234.0, True, None, 400.4, model, reasons)


def seen(champion: str, has_stepped_down: bool = False) -> Seen:
    return Seen(champion, plan(champion, Rung.BOTH), has_stepped_down)


def lives(*moments: Seen) -> list[Life]:
    """The life after each moment, a second apart."""
    found = [Life()]
    for at, one in enumerate(moments):
        found.append(lived(found[-1], one, MODEL, float(at)))
    return found


def test_each_event_is_told_once_in_its_order() -> None:
    found = lives(
        seen(""),
        seen(MODEL),
        seen(MODEL),
        seen(MODEL, True),
        seen(MODEL, True),
        seen("", True),
        seen("", True),
        seen(""),
    )
    told = [text for before, after in pairwise(found) if (text := headline(before, after, MODEL))]
    assert [text.partition(" ")[0].partition(":")[0] for text in told] == [MODEL, "STEPPED", "ROLLED", "RETURNED"]
    assert found[-1] == Life(1.0, 3.0, 5.0, 7.0)
    assert found[-1].complete_at == 7.0
    assert [life.went_well for life in found] == [False] * 6 + [True] * 3


def test_what_happens_before_the_model_serves_is_not_its_own() -> None:
    """A forecast of the general model that has stepped down says nothing of a model that is promoted later."""
    assert lives(seen("", True), seen(""))[-1] == Life()


def test_a_model_that_is_rolled_back_alone_has_not_gone_through_everything() -> None:
    (*_, last) = lives(seen(MODEL), seen(""))
    assert last.rolled_back_at == 1.0
    assert not last.went_well
    assert last.complete_at is None


def test_an_answer_in_words() -> None:
    why = Reason("fallback", "the forecast has stepped down")
    reactive = plan("", Rung.OBSERVATION, (Reason("floor", "the newest observation"), why))
    assert answered(reactive) == "no forecast, rung observation_alone; demand is 400, KEDA gets 1,234"
    assert why_not(reactive) == "fallback: the forecast has stepped down"
    assert why_not(plan(MODEL, Rung.BOTH, (why,))) == ""
    assert answered(plan(MODEL, Rung.BOTH)).startswith(f"forecast of {MODEL}, rung forecast_and_observation")
