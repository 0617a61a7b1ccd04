"""Published versions of models in use: champions, their predecessors on probation, and what triggers name.

A version is immutable, so it is read once. Two versions of one name may serve side by side.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scaler.errors import BundleInvalid
from scaler.forecast.onnx_forecaster import OnnxForecaster
from scaler.models import Champion, Lineup, Serving, scope_name

MOST_NAMED = 32
"""versions that are loaded because triggers name them: each takes memory, and whoever may create a trigger can name
one"""


@dataclass(frozen=True, slots=True)
class Probation:
    """A champion beside what it replaced."""

    champion: Champion
    forecaster: OnnxForecaster
    before: OnnxForecaster


class Versions:
    """What is loaded, and what serves each scope. `update` blocks (I/O, CPU); the rest reads what it left.

    open_version: the bundle of NAME@VERSION; raises BundleInvalid.
    """

    def __init__(self, open_version: Callable[[str], OnnxForecaster]) -> None:
        self._open = open_version
        self.loaded: Mapping[str, OnnxForecaster] = {}
        """by NAME@VERSION"""
        self.serving: Mapping[str, tuple[Serving, OnnxForecaster]] = {}
        """by scope; a scope whose champion cannot be used and that nothing served before has none"""
        self.faults: Mapping[str, BundleInvalid] = {}
        """why versions that are wanted cannot be used"""
        self.refusals: Mapping[str, BundleInvalid] = {}
        """those of them that are to serve a scope"""

    def update(self, lineup: Lineup) -> None:
        """Load what is wanted and not loaded yet, and swap. Where a champion cannot be used, what serves stays."""
        required = {one.model for one in lineup.champions.values()}
        before = {one.previous for one in lineup.champions.values() if one.previous and one.is_on_probation(lineup.at)}
        named = set(sorted(lineup.named - required - before)[:MOST_NAMED])
        loaded, faults = self._load(required | before | named)
        serving = {}
        for scope, champion in lineup.champions.items():
            fault = faults.get(champion.model)
            found = loaded.get(champion.model) or self._instead(champion, loaded)
            if found is not None:
                why = f"{scope_name(scope)}: {fault}; {found.model} serves" if fault else ""
                serving[scope] = Serving(champion, found.model, why), found
        loaded |= {found.model: found for _, found in serving.values()}
        self.loaded, self.serving, self.faults = loaded, serving, faults
        self.refusals = {model: fault for model, fault in faults.items() if model in required | before}

    def _load(self, wanted: set[str]) -> tuple[dict[str, OnnxForecaster], dict[str, BundleInvalid]]:
        loaded: dict[str, OnnxForecaster] = {}
        faults: dict[str, BundleInvalid] = {}
        for model in sorted(wanted):
            try:
                loaded[model] = self.loaded.get(model) or self._open(model)
            except BundleInvalid as fault:
                faults[model] = fault
        return loaded, faults

    def _instead(self, champion: Champion, loaded: Mapping[str, OnnxForecaster]) -> OnnxForecaster | None:
        """What served the scope until now; after a start, what the champion replaced, where that is loaded."""
        running = self.serving.get(champion.scope)
        return running[1] if running else loaded.get(champion.previous or "")
