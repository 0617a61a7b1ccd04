"""The bundle for each trigger: from a folder or URL, or shipped with the package.

For `model: auto` that is the champion of the narrowest scope that has one (scaler/models); without an index of models,
the first bundle of the folder.

Two bundles ship. `general` was trained on public recordings and serves where no other bundle does. `seasonal` has no
learned parameters and answers for series that a bundle on the same grid cannot forecast.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp
from types import MappingProxyType

import scaler.bundle
from scaler.bundle import FILES, fetch, find_bundles, read_bundle, shown_url
from scaler.errors import BundleInvalid
from scaler.forecast import Choice
from scaler.forecast.onnx_forecaster import OnnxForecaster, load_forecaster, open_bundle, open_later
from scaler.forecast.versions import Probation, Versions
from scaler.models import ALL, NO_CHAMPION, Lineup, is_model, scopes_of
from scaler.telemetry.redaction import os_error_text
from scaler.trigger import Trigger

SHIPPED = Path(scaler.bundle.__file__).parent / "shipped"
GENERAL, SEASONAL = SHIPPED / "general", SHIPPED / "seasonal"
AUTO = "auto"
NO_BUNDLE = f"no bundle found: neither the folder nor one below it holds {', '.join(FILES)}"


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The result of one reload, swapped atomically. `bundles` and `refusals` by folder (or URL)."""

    bundles: Mapping[str, OnnxForecaster] = field(default_factory=dict)
    refusals: Mapping[str, BundleInvalid] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shipped:
    """The shipped bundles. default: `general`, or `seasonal` where `general` was refused (see `refusals`).

    seasonal: None where it was refused; other bundles then have no fallback.
    """

    default: OnnxForecaster
    seasonal: OnnxForecaster | None
    refusals: Mapping[str, BundleInvalid] = field(default_factory=dict)


def open_shipped(threads: int = 1, general: Path = GENERAL, seasonal: Path = SEASONAL) -> Shipped:
    """Both shipped bundles; the seasonal one is opened on first use.

    Raises BundleInvalid where neither can be used.
    """
    refusals: dict[str, BundleInvalid] = {}
    later: OnnxForecaster | None = None
    try:
        later = open_later(read_bundle(seasonal), str(seasonal), threads)
    except BundleInvalid as refusal:
        refusals[str(seasonal)] = refusal
    try:
        return Shipped(load_forecaster(general, threads, fallback=later), later, refusals)
    except BundleInvalid as refusal:
        if later is None:
            raise
        return Shipped(later, later, {**refusals, str(general): refusal})


class Catalog:
    """The bundles in use. `open` and `reload` block (I/O, CPU): run them off the event loop."""

    def __init__(self, shipped: "Shipped", source: str, champion: str, threads: int, cache: Path | None) -> None:
        self.shipped = shipped
        self._source = source
        self._champion = champion
        self._threads = threads
        self._cache = cache
        self._loaded = _Loaded()
        self.versions = Versions(self._open_version)
        """published versions in use"""
        self.lineup = Lineup()
        """who is to serve from the next reload on"""

    @classmethod
    def open(
        cls, source: str | None = None, *, champion: str = "", threads: int = 1, cache: Path | None = None
    ) -> "Catalog":
        """The catalog after one read of `source`. Faulty bundles are in `refusals`; the shipped bundle serves instead.

        source: one bundle folder, a folder of bundle folders, or an fsspec URL of either; None: only shipped ones.
        champion: name of the bundle behind `auto`; empty: the first by folder name that serves every trigger.
        threads: cores that one run may use. cache: local copy of what a URL holds; default: a temporary folder.
        """
        catalog = cls(open_shipped(threads), source or "", champion, threads, cache)
        catalog.reload()
        return catalog

    @property
    def refusals(self) -> Mapping[str, BundleInvalid]:
        """What the last reload refused, by folder or URL. An older version that runs stays in use."""
        return MappingProxyType({**self.shipped.refusals, **self._loaded.refusals, **self.versions.refusals})

    @property
    def forecasters(self) -> Mapping[str, OnnxForecaster]:
        """Bundles in use by name, without published versions. One with the name of a shipped one replaces it."""
        every = (self.shipped.seasonal, self.shipped.default, *self._loaded.bundles.values())
        return MappingProxyType({forecaster.manifest.name: forecaster for forecaster in every if forecaster})

    @property
    def models(self) -> list[str]:
        """All that is in use, as NAME@VERSION."""
        every = (*self.forecasters.values(), *self.versions.loaded.values())
        return sorted({forecaster.model for forecaster in every})

    @property
    def champion(self) -> OnnxForecaster:
        """What `auto` means for a trigger that has neither a champion nor a bundle of its own."""
        named = self.forecasters.get(self._champion)
        if named is not None:
            return named
        return next((f for f in self._loaded.bundles.values() if not f.manifest.series), self.shipped.default)

    def choice(self, trigger: Trigger) -> Choice:
        """The trigger's bundle; for `auto`, or with a reason where the named one cannot serve, the champion."""
        champion = self._champion_of(trigger)
        if trigger.model == AUTO:
            return champion
        named, serves = self._named(trigger), f"{champion.forecaster.model} serves"
        if named is None:
            why = self.versions.faults.get(trigger.model)
            known = ", ".join(sorted({*self.forecasters, *self.versions.loaded}))
            reason = str(why) if why else f"no bundle {trigger.model!r} (known: {known})"
            return replace(champion, reason=f"{reason}; {serves}")
        if not named.serves(trigger.key):
            return replace(champion, reason=f"bundle {named.model} was not fitted for this trigger; {serves}")
        return Choice(named)

    def hourly(self, trigger: Trigger) -> list[OnnxForecaster]:
        """Bundles with steps of an hour that serve the trigger; those that are fitted for it first."""
        every = {one.model: one for one in (*self.forecasters.values(), *self.versions.loaded.values())}
        found = [one for one in every.values() if one.grid.step_seconds == 3600 and one.serves(trigger.key)]
        return sorted(found, key=lambda one: (not one.manifest.series, one.model))

    def probations(self, now: float) -> list[Probation]:
        """The champions that are still compared with their predecessors, each with both bundles."""
        found = []
        for scope, (serving, forecaster) in self.versions.serving.items():
            one = serving.champion
            if serving.fault or not one.is_on_probation(now):
                continue
            before = self.versions.loaded.get(one.previous or "") or (
                self._wider(scope) if one.previous == NO_CHAMPION else None
            )
            if before is not None:
                found.append(Probation(one, forecaster, before))
        return found

    def _champion_of(self, trigger: Trigger) -> Choice:
        for scope in scopes_of(trigger.namespace, trigger.name):
            serving, forecaster = self.versions.serving.get(scope, (None, None))
            if forecaster is not None and forecaster.serves(trigger.key):
                return Choice(forecaster, serving=serving)
        return Choice(self._fitted_for(trigger) or self.champion)

    def _wider(self, scope: str) -> OnnxForecaster:
        """What serves where `scope` has no champion."""
        for wider in [scope.split("/")[0], ALL] if "/" in scope else [ALL]:
            if wider != scope and wider in self.versions.serving:
                return self.versions.serving[wider][1]
        return self.champion

    def _named(self, trigger: Trigger) -> OnnxForecaster | None:
        """The bundle that the trigger names, with or without its version."""
        model = trigger.model
        if model in self.versions.loaded:
            return self.versions.loaded[model]
        named = next((f for f in self.forecasters.values() if model in (f.manifest.name, f.model)), None)
        served = (self.versions.serving.get(scope) for scope in scopes_of(trigger.namespace, trigger.name))
        return named or next((one[1] for one in served if one and one[1].manifest.name == model), None)

    def _fitted_for(self, trigger: Trigger) -> OnnxForecaster | None:
        fitted = (f for f in self._loaded.bundles.values() if f.manifest.series)
        return next((f for f in fitted if f.serves(trigger.key)), None)

    def reload(self) -> None:
        """Read the source again and swap atomically. Refused or unreachable bundles leave the running ones in place."""
        if self._source:
            self._read_folders()
        shipped = {one.model for one in (self.shipped.default, self.shipped.seasonal) if one}
        self.versions.update(replace(self.lineup, named=self.lineup.named - shipped))

    def _read_folders(self) -> None:
        try:
            folders = self._folders()
        except BundleInvalid as refusal:
            self._loaded = _Loaded(self._loaded.bundles, {shown_url(self._source): refusal})
            return
        bundles: dict[str, OnnxForecaster] = {}
        refusals: dict[str, BundleInvalid] = {}
        for folder in folders:
            place = folder.name
            running = self._loaded.bundles.get(place)
            try:
                bundles[place] = _distinct(self._load(folder, running), bundles)
            except BundleInvalid as refusal:
                refusals[place] = refusal
                if running is not None:
                    bundles[place] = running
        self._loaded = _Loaded(bundles, refusals)

    def _folders(self) -> list[Path]:
        """Of the bundles that are no published versions."""
        try:
            root = fetch(self._source, self._copies())
            folders = [found for found in find_bundles(root) if found == root or not is_model(found.name)]
            has_versions = folders or (root.is_dir() and any(is_model(one.name) for one in root.iterdir()))
        except OSError as error:
            raise BundleInvalid(shown_url(self._source), (f"cannot be read: {os_error_text(error)}",)) from None
        if not has_versions:
            raise BundleInvalid(shown_url(self._source), (NO_BUNDLE,))
        return folders

    def _open_version(self, model: str) -> OnnxForecaster:
        """The published version. Raises BundleInvalid."""
        if not self._source:
            raise BundleInvalid(model, ("there is no place of bundles: set bundle",))
        try:
            bundle = read_bundle(fetch(self._source, self._copies(), model))
        except OSError as error:
            raise BundleInvalid(model, (f"cannot be read: {os_error_text(error)}",)) from None
        if bundle.manifest.model != model:
            raise BundleInvalid(model, (f"its manifest says {bundle.manifest.model}",))
        return open_bundle(bundle, model, self._threads, fallback=self.shipped.seasonal)

    def _copies(self) -> Path:
        """Where copies of what lies at a URL are kept."""
        if "://" in self._source and self._cache is None:
            self._cache = Path(mkdtemp(prefix="headway-bundles-"))
        return self._cache or Path()

    def _load(self, folder: Path, running: OnnxForecaster | None) -> OnnxForecaster:
        bundle = read_bundle(folder)
        if running is not None and running.manifest == bundle.manifest:
            return running
        return open_bundle(bundle, str(folder), self._threads, fallback=self.shipped.seasonal)


def _distinct(forecaster: OnnxForecaster, others: Mapping[str, OnnxForecaster]) -> OnnxForecaster:
    for place, other in others.items():
        if other.manifest.name == forecaster.manifest.name:
            raise BundleInvalid(forecaster.model, (f"its name is already taken by the bundle in {place}",))
    return forecaster
