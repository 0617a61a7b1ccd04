"""Plain scalars, as kubectl 1.32 reads them (`kubectl label --local -o json` printed the expected values)."""

import math

import pytest

from scaler.manifest import ManifestError, plain_value, read_manifest

NUMBERS: dict[str, int | float] = {
    "0": 0, "00": 0, "-0": 0, "5": 5, "+5": 5, "-5": -5, "1_000": 1000, "1__0": 10, "1_": 1, "-_1": -1, "0_1": 1,
    "017": 15, "0o17": 15, "0O17": 15, "010": 8, "08": 8.0, "0b1": 1, "0B1": 1, "-0b1": -1, "0x1F": 31, "0X1f": 31,
    "0x_1": 1, "1e1": 10.0, "1e-3": 0.001, "1.e3": 1000.0, "1E5": 1e5, "+1e5": 1e5, "1_e1": 10.0, "5.": 5.0, ".5": 0.5,
    "+.5": 0.5, "-.5": -0.5, ".5e3": 500.0, ".5_0": 0.5, "09.5": 9.5, "18446744073709551615": 2**64 - 1,
    "18446744073709551616": 2.0**64, ".inf": math.inf, "+.Inf": math.inf, "-.INF": -math.inf,
}  # fmt: skip
BOOLEANS = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"), False),
}
STRINGS = [
    "1:30",
    "1:30.5",
    "190:20:30",
    "2026-01-01",
    "2026-1-1",
    "2026-01-01T10:00:00Z",
    "2026-13-45",
    "oN",
    "tRUE",
    "nULL",
    ".iNF",
    ".Nan",
    "nan",
    "Inf",
    "infinity",
    "1e",
    "1e999",
    "1e1.5",
    "1.5.2",
    "1,000",
    "5m",
    "5%",
    ".",
    ".e3",
    "._5",
    "--5",
    "+-5",
    "-e5",
    "0x",
    "0b2",
    "0o8",
    "=",
    "<<",
    "t",
    "F",
]


@pytest.mark.parametrize(("text", "value"), [*NUMBERS.items(), *BOOLEANS.items()])
def test_numbers_and_booleans(text: str, value: int | float | bool) -> None:
    """Value and type are those that the API server gets."""
    assert (plain_value(text), type(plain_value(text))) == (value, type(value))


@pytest.mark.parametrize("text", STRINGS)
def test_strings(text: str) -> None:
    """What YAML 1.1 takes for a number, a time or a date stays text."""
    assert plain_value(text) == text


def test_null_and_not_a_number() -> None:
    """Nothing, `~` and `null` are absent values; `.nan` is a number that no JSON has."""
    assert [plain_value(text) for text in ("", "~", "null", "Null", "NULL")] == [None] * 5
    assert all(math.isnan(float(plain_value(text) or 0)) for text in (".nan", ".NaN", ".NAN"))


@pytest.mark.parametrize(("text", "most"), [("1e2", 100), ("0o17", 15), ("1_0", 10), ('"20"', None), ("2.5", None)])
def test_numbers_of_the_spec(text: str, most: int | None) -> None:
    """A whole number may be written in any way that JSON has one number for; a quoted one is none."""
    (scaled,) = read_manifest(f"kind: ScaledObject\nspec: {{maxReplicaCount: {text}}}\n").objects
    assert scaled.max_replicas == most


@pytest.mark.parametrize(("key", "seen"), [("on", "true"), ("no", "false"), ("5", "5"), ('"on"', "on")])
def test_keys_are_strings(key: str, seen: str) -> None:
    """JSON has no other keys, so a boolean becomes its word."""
    (scaled,) = read_manifest(f"kind: ScaledObject\nspec: {{{key}: x}}\n").objects
    assert list(scaled.spec) == [seen]


@pytest.mark.parametrize("key", ["~", "[a]", "{a: b}"])
def test_keys_that_are_none(key: str) -> None:
    """kubectl refuses them."""
    with pytest.raises(ManifestError, match="line 2: not valid YAML for Kubernetes: a key must be a string"):
        read_manifest(f"kind: ScaledObject\nspec: {{? {key} : x}}\n")
