"""Why a model is trained."""

from training.lifecycle.reasons import DAY_SECONDS, Rules, Serving, reasons

NOW = 1_700_000_000.0
FRESH = Serving("own@1", NOW - DAY_SECONDS, frozenset({"shop/web", "shop/cart"}), 0.7)
WATCHED = ["shop/web", "shop/cart"]


def test_nothing_is_due() -> None:
    """A champion of yesterday that does what it did, on the triggers that it knows."""
    assert reasons(NOW, FRESH, WATCHED, {"shop/web": 0.75, "shop/cart": 0.7}) == []


def test_every_reason_is_named() -> None:
    """Asked for, none yet, age, triggers that it does not know, drift, no skill."""
    assert reasons(NOW, FRESH, WATCHED, {}, asked_for=True) == ["asked for"]
    assert reasons(NOW, Serving(), WATCHED, {}) == ["no model of your own serves yet"]
    assert reasons(NOW + 5.5 * DAY_SECONDS, FRESH, WATCHED, {}) == ["own@1 is 6.5 days old"]
    assert reasons(NOW, FRESH, [*WATCHED, "shop/new"], {}) == ["own@1 has not learned from 1 of 3 triggers"]
    drifted = reasons(NOW, FRESH, WATCHED, {"shop/web": 0.9, "shop/cart": 0.9})
    assert drifted == ["own@1 has 0.90 times the loss of the newest observation, 0.70 at first"]
    lost = reasons(NOW, FRESH, WATCHED, {"shop/web": 1.2, "shop/cart": 1.2})
    assert lost == ["own@1 has 1.20 times the loss of the newest observation"]


def test_a_few_new_triggers_can_wait() -> None:
    """Below a tenth of them."""
    many = [*WATCHED, *(f"shop/{number}" for number in range(20))]
    serving = Serving("own@1", NOW, frozenset(many[:-1]))
    assert reasons(NOW, serving, many, {}) == []
    assert reasons(NOW, serving, many, {}, rules=Rules(new_share=0.01)) != []
