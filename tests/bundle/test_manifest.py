"""What a manifest may say."""

import json
from pathlib import Path

import pytest

from scaler.bundle import parse_manifest
from scaler.errors import BundleInvalid

GOLDEN = Path(__file__).parent / "golden"


def manifest_text(**changes: object) -> str:
    return json.dumps(json.loads((GOLDEN / "manifest.json").read_text()) | changes)


def test_text_survives_a_round_trip() -> None:
    """A manifest written and read again is the same."""
    manifest = parse_manifest(manifest_text(), "golden")
    assert parse_manifest(manifest.to_json(), "golden") == manifest


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schema_version": 2}, "schema_version is 2, this scaler reads 1"),
        ({"schema_version": None}, "schema_version is None"),
        ({"steps": 0}, "steps: Input should be greater than 0"),
        ({"levels": [0.5, 0.1]}, "levels must ascend"),
        ({"levels": [0.5, 1.5]}, "levels.1: Input should be less than 1"),
        ({"peak_steps": [1, 99]}, "peak_steps must not reach beyond horizon_steps"),
        ({"minimum_history_steps": 9999}, "minimum_history_steps must not exceed steps"),
        ({"name": "No Name"}, "name: String should match"),
        ({"colour": "blue"}, "colour: Extra inputs"),
        ({"steps": 10**6}, "steps: Input should be less than or equal to 50000"),
        ({"horizon_steps": 10**5}, "horizon_steps: Input should be less"),
        ({"step_seconds": 10**30}, "step_seconds: Input should be less"),
        ({"coarse_steps": 50_000, "coarse_seconds": 86_400}, "must not be longer than five years"),
        ({"levels": [n / 1000 for n in range(1, 200)]}, "levels: Tuple should have at most 100"),
    ],
)
def test_what_is_wrong_is_told(changes: dict[str, object], told: str) -> None:
    """Each broken rule refuses the manifest and names the field."""
    with pytest.raises(BundleInvalid, match="refused") as refusal:
        parse_manifest(manifest_text(**changes), "golden")
    assert told in str(refusal.value)


def test_all_faults_are_told_at_once() -> None:
    """Two broken fields are two differences."""
    with pytest.raises(BundleInvalid) as refusal:
        parse_manifest(manifest_text(steps=-1, name=""), "golden")
    assert len(refusal.value.differences) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_what_is_not_an_object_is_refused(text: str) -> None:
    """Text that is no JSON object is refused as such."""
    with pytest.raises(BundleInvalid, match=r"manifest\.json is not"):
        parse_manifest(text, "golden")


@pytest.mark.parametrize("changes", [{"schema_version": "x" * 10**6}, {f"{n}{'x' * 1000}": 1 for n in range(10_000)}])
def test_a_refusal_is_bounded(changes: dict[str, object]) -> None:
    """It goes to the log, whatever the file holds."""
    with pytest.raises(BundleInvalid) as refusal:
        parse_manifest(manifest_text(**changes), "golden")
    assert len(str(refusal.value)) < 12_000
