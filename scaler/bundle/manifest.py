"""`manifest.json`: the description of a bundle."""

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from scaler.bundle.signature import Sizes
from scaler.errors import BundleInvalid
from scaler.telemetry.redaction import excerpt

SCHEMA_VERSION = 1

MOST_STEPS, MOST_OUTPUT_STEPS, MOST_LEVELS = 50_000, 10_000, 100
"""T and L; H; Q and W: each trigger needs memory for them. 2,688 is the largest of those that ship"""

LONGEST_HISTORY_SECONDS = 5 * 366 * 86_400
"""that a bundle may ask for, of each trigger"""

Count = Annotated[int, Field(gt=0, le=LONGEST_HISTORY_SECONDS)]
Steps = Annotated[int, Field(gt=0, le=MOST_STEPS)]
Level = Annotated[float, Field(gt=0, lt=1)]


class Manifest(BaseModel):
    """What the scaler must know about a bundle before it opens the graph."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    step_seconds: Count
    steps: Steps
    """T: fine samples of `history`"""
    horizon_steps: Annotated[int, Field(gt=0, le=MOST_OUTPUT_STEPS)]
    """H: future steps of `quantiles`"""
    coarse_seconds: Count
    coarse_steps: Steps
    """L: blocks of `long_history`"""
    levels: Annotated[tuple[Level, ...], Field(min_length=1, max_length=MOST_LEVELS)]
    """Q: ascending"""
    peak_steps: Annotated[tuple[Count, ...], Field(max_length=MOST_LEVELS)] = ()
    """W: window lengths of `peaks` in steps, ascending, none above H; empty where the graph gives no peaks"""
    minimum_history_steps: Steps
    """with fewer samples in `history` the graph answers NaN"""
    graph_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    trained: dict[str, str] = {}
    """how it was trained: method, data, code"""
    scores: dict[str, float] = {}
    data_licence: str = ""
    """terms of the data it was trained on"""
    series: tuple[str, ...] = ()
    """the triggers (namespace/name) it serves, in the order of the `series` input; empty: it serves every trigger"""

    @model_validator(mode="after")
    def _orders(self) -> "Manifest":
        for field, values in (("levels", self.levels), ("peak_steps", self.peak_steps)):
            if list(values) != sorted(set(values)):
                raise ValueError(f"{field} must ascend")
        if self.coarse_seconds % self.step_seconds:
            raise ValueError("coarse_seconds must be a multiple of step_seconds")
        if self.peak_steps and self.peak_steps[-1] > self.horizon_steps:
            raise ValueError("peak_steps must not reach beyond horizon_steps")
        longest = max(self.step_seconds * self.steps, self.coarse_seconds * self.coarse_steps)
        if longest > LONGEST_HISTORY_SECONDS:
            raise ValueError("the history must not be longer than five years")
        if self.minimum_history_steps > self.steps:
            raise ValueError("minimum_history_steps must not exceed steps")
        if len(set(self.series)) != len(self.series):
            raise ValueError("series must be distinct")
        return self

    @property
    def model(self) -> str:
        """`name@version`"""
        return f"{self.name}@{self.version}"

    @property
    def sizes(self) -> Sizes:
        return Sizes(self.steps, self.coarse_steps, self.horizon_steps, len(self.levels), len(self.peak_steps))

    def to_json(self) -> str:
        """Text for `manifest.json`: the same for equal manifests."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"


def parse_manifest(text: str | bytes, bundle: str) -> Manifest:
    """The manifest. Raises BundleInvalid with every fault, or only with the schema version where that is unknown."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleInvalid(bundle, (f"manifest.json is not JSON: {excerpt(str(error))}",)) from error
    if not isinstance(content, dict):
        raise BundleInvalid(bundle, ("manifest.json is not an object",))
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        problem = f"manifest.json: schema_version is {excerpt(repr(version))}, this scaler reads {SCHEMA_VERSION}"
        raise BundleInvalid(bundle, (problem,))
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        problems = tuple(f"manifest.json: {_where(fault['loc'])}{fault['msg']}" for fault in error.errors())
        raise BundleInvalid(bundle, problems) from error


def _where(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) + ": " if location else ""
