"""What a Prometheus-compatible server answered, by kind. Pure: bytes and values in, values or errors out.

Below the public tree of `scaler.errors` four leaves say what the asking side may do about a failure:

SourceUnavailable ┬─ TryAgain   it may work in a moment (5xx, 429, connection lost)
                  │  └─ NoConnection
                  ├─ NotAsked   the request got no slot before its round ended, or its query pauses
                  ├─ TooSlow    the server gave up on the query, or we did
                  ├─ Partial    a part of the data was missing: the answer may be too low, so it counts as none
                  └─ Malformed  the answer is none that Prometheus gives
SourceRefused ────┬─ BadQuery   this query (or one of those asked together) is wrong
                  └─ TooLarge   more was returned than anybody wants to read
"""

import itertools
import json
import math
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from scaler.errors import AmbiguousDemand, NoDemand, SourceRefused, SourceUnavailable
from scaler.telemetry.redaction import excerpt, without_tokens
from scaler.trigger import Trigger


class TryAgain(SourceUnavailable):
    """The request may succeed when it is repeated."""


class NoConnection(TryAgain):
    """The server was not reached at all."""


class NotAsked(SourceUnavailable):
    """The request got no slot before its round ended, or its query pauses; nothing was sent."""


class Partial(SourceUnavailable):
    """The server answered without some of its data; the demand is unknown, not low."""


class TooSlow(SourceUnavailable):
    """No answer in time; a smaller request may be fast enough."""

    started: float = 0.0
    """when the request was begun, by the monotonic clock"""


class Malformed(SourceUnavailable):
    """Not what Prometheus answers: no part of it can be trusted. In a joint answer, also a part of no query."""


class BadQuery(SourceRefused):
    """The server says that a query is wrong; in a joint request, one of them."""


class TooLarge(SourceRefused):
    """The server finds the request or its answer too large; a smaller one may be accepted."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element of an instant answer; a scalar has no labels."""

    labels: Mapping[str, str]
    value: float
    at: float = math.nan
    """the moment that the server answered for, Unix seconds; NaN where it says none"""

    def without_label(self, name: str) -> "Element":
        """The same element with one label less."""
        return Element(_without(self.labels, name), self.value, self.at)


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a range answer: times ascending [S], values [S], NaN and infinities included."""

    labels: Mapping[str, str]
    times: NDArray[np.float64]
    values: NDArray[np.float64]

    def without_label(self, name: str) -> "Series":
        """The same series with one label less."""
        return Series(_without(self.labels, name), self.times, self.values)

    def lies_within(self, start: float, end: float) -> bool:
        """Whether every sample is of [start, end]."""
        return bool(np.all((self.times >= start) & (self.times <= end)))


def _without(labels: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key != name}


Labelled = TypeVar("Labelled", Element, Series)


def assigned(found: Sequence[Labelled], label: str, tags: Iterable[str]) -> dict[str, list[Labelled]]:
    """What belongs to each of `tags` by the value of `label`, without that label. Raises Malformed.

    An answer that lost the label, on its way through a proxy or because a query broke out of its place, is no empty
    answer.
    """
    by_tag: dict[str, list[Labelled]] = {tag: [] for tag in tags}
    for one in found:
        mine = by_tag.get(one.labels.get(label, ""))
        if mine is None:
            raise Malformed("the server's answer to several queries holds something that belongs to none of them")
        mine.append(one.without_label(label))
    return by_tag


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """The `data` of a successful answer."""

    kind: str
    """Prometheus's `resultType`: vector, scalar, matrix, string"""
    result: Any
    partial: str = ""
    """why data may be missing from it; empty where it is complete"""
    size: int = 0
    """bytes of the answer"""


def decode(server: str, status: int, body: bytes) -> ServerAnswer:
    """The answer in `body`. Raises one of the errors above, or SourceRefused, with the server's own words."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if status >= 300 or not isinstance(document, dict) or document.get("status") != "success":
        raise _failure(server, status, document, body)
    missing = _missing(document)
    partial = f"{server} reports: {shortened(missing, MOST_SHOWN)}; the answer may be partial" if missing else ""
    try:
        data = document["data"]
        result = data["result"]
        return ServerAnswer(_kind(data["resultType"]), [] if result is None else result, partial, len(body))
    except (KeyError, TypeError, AttributeError):
        raise Malformed(f"{server} answered with JSON of another shape: {shortened(body)}") from None


MOST_SHOWN = 400
"""characters of what a server says that an error repeats"""

ANNOTATIONS = ("PromQL warning:", "PromQL info:")
"""what Prometheus and Mimir put before remarks on the query (util/annotations/annotations.go); the data is complete"""


def _missing(document: Mapping[str, Any]) -> str:
    """Why a successful answer may lack data; empty where nothing says so.

    Thanos, Cortex and Mimir list stores that did not answer in `warnings`; VictoriaMetrics sets `isPartial`.
    """
    warnings = document.get("warnings") or []
    if not isinstance(warnings, list):
        return described(warnings)
    texts = list(dict.fromkeys(one for one in map(_warning, warnings) if not one.startswith(ANNOTATIONS)))
    if document.get("isPartial") is True:
        texts.append("isPartial: some storage nodes did not answer")
    return "; ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")


def _warning(one: Any) -> str:
    return one[:MOST_SHOWN] if isinstance(one, str) else described(one)


def _failure(server: str, status: int, document: Any, body: bytes) -> SourceUnavailable | SourceRefused:
    spoken = isinstance(document, dict) and isinstance(document.get("error"), str)
    words = shortened(document["error"], MOST_SHOWN) if spoken else f"HTTP {status}: {shortened(body)}"
    if status == 503 and spoken and document.get("errorType") == "timeout":
        return TooSlow(f"{server}: {words}")
    if status == 429 or status >= 500:
        return TryAgain(f"{server}: {words}")
    if status in (400, 413, 414, 422):
        return BadQuery(f"{server}: {words}")
    if status >= 400 or spoken:
        return SourceRefused(f"{server}: {words}")
    if status >= 300:
        return SourceRefused(f"{server} answered HTTP {status}, a redirect: give the address it leads to")
    return Malformed(f"{server} answered, but not with Prometheus's JSON: {shortened(body)}")


def shortened(text: str | bytes, most: int = 80) -> str:
    """At most `most` characters of a foreign text, on one line, without what may be secrets; cut before a look."""
    head = text[: 4 * most]
    plain = head if isinstance(head, bytes) else head.encode(errors="replace")
    return excerpt(without_tokens(plain.decode(errors="replace")), most)


def described(value: Any) -> str:
    """A foreign value of any kind and size, shortened; no more of it is turned into text than is shown."""
    return shortened(_REPR.repr(value))


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 80


def elements(answer: ServerAnswer) -> list[Element]:
    """Elements of an instant answer. Raises AmbiguousDemand for a string, a range or a histogram, and Partial.

    Only a vector can be empty; an answer of an unknown kind is none (Malformed).
    """
    if answer.partial:
        raise Partial(answer.partial)
    if answer.kind == "scalar":
        return [Element({}, _number(answer.result), _moment(answer.result))]
    if answer.kind in _KINDS:
        raise AmbiguousDemand(f"the query returns a {_KINDS[answer.kind]}; it must return one number")
    if answer.kind != "vector":
        raise Malformed(f"the server answered with a result of an unknown kind: {shortened(answer.kind)}")
    samples = [(item.get("metric") or {}, _plain(item, "value")) for item in _items(answer)]
    return [Element(labels, _number(sample), _moment(sample)) for labels, sample in samples]


NO_STORE = "No StoreAPIs matched for this query"
"""what Thanos warns for a time before all of its data"""


def series(answer: ServerAnswer) -> list[Series]:
    """Series of a range answer. Raises AmbiguousDemand for histograms, Partial, and Malformed for no matrix.

    An empty answer for a time that no store of Thanos covers is complete: nothing was there.
    """
    if answer.partial and (answer.result or NO_STORE not in answer.partial):
        raise Partial(answer.partial)
    if answer.kind != "matrix":
        raise Malformed(f"the server answered a range query with a {shortened(answer.kind)}, not a matrix")
    return [_series(item) for item in _items(answer)]


def _kind(kind: Any) -> str:
    """The kind of a result, fit for a message."""
    return shortened(kind) if isinstance(kind, str) else described(kind)


_KINDS = {"matrix": "range vector (`[5m]` without a function around it)", "string": "string"}


def _items(answer: ServerAnswer) -> list[dict[str, Any]]:
    if not isinstance(answer.result, list) or not all(map(_is_item, answer.result)):
        raise Malformed(f"a {answer.kind} of another shape: {described(answer.result)}")
    return answer.result


def _is_item(item: Any) -> bool:
    labels = item.get("metric") or {} if isinstance(item, dict) else None
    return isinstance(labels, dict) and all(isinstance(value, str) for value in labels.values())


def _plain(item: Mapping[str, Any], key: str) -> Any:
    if not item.get(key) and (item.get("histogram") or item.get("histograms")):
        raise AmbiguousDemand(
            "the query returns a native histogram; take one number of it, as with histogram_quantile()"
        )
    return item.get(key)


def _number(sample: Any) -> float:
    try:
        return _float(sample[1])
    except (TypeError, ValueError, OverflowError, IndexError, KeyError):
        raise Malformed(f"a sample of another shape: {described(sample)}") from None


def _moment(sample: Sequence[Any]) -> float:
    try:
        return _float(sample[0])
    except (TypeError, ValueError, OverflowError):
        return math.nan


MOST_DIGITS = 400
"""of a number; the longest that Go writes for a float64 has 327 characters"""


def _float(text: Any) -> float:
    if isinstance(text, str) and len(text) > MOST_DIGITS:
        raise ValueError
    return float(text)


def _series(item: Mapping[str, Any]) -> Series:
    samples = _plain(item, "values")
    try:
        samples = [] if samples is None and "values" in item else samples
        times = np.array([sample[0] for sample in samples], dtype=np.float64)
        values = np.array([_float(sample[1]) for sample in samples], dtype=np.float64)
    except (TypeError, ValueError, OverflowError, IndexError, KeyError):
        raise Malformed(f"samples of another shape: {described(samples)}") from None
    return Series(item.get("metric") or {}, times, values)


LARGEST_KEPT = float(np.finfo(np.float32).max)
"""history is kept as float32; a larger number would become infinite there, and be missing without a reason"""


NOT_FINITE = "divide by (… > 0), which returns nothing where there is nothing to divide by"


def demand(found: Sequence[Element], trigger: Trigger, at: float) -> float:
    """The one number that a trigger's query must return for the moment `at`, finite and >= 0.

    Raises NoDemand (nothing: 0.0 instead where the trigger ignores null values; or NaN or infinite: never 0),
    AmbiguousDemand (several), SourceRefused (negative, or too large for the history), and SourceUnavailable for a
    number of another time, as a cache may give it.
    """
    if len(found) > 1:
        raise ambiguity([element.labels for element in found])
    if not found:
        if trigger.ignore_null_values:
            return 0.0
        raise NoDemand("the query returned nothing; that is unknown, not 0 (set ignoreNullValues to read it as 0)")
    value = found[0].value
    if not math.isfinite(value):
        raise NoDemand(f"the query returned {value}; that is unknown, not 0: {NOT_FINITE}")
    if value < 0:
        raise SourceRefused(f"the query returned {value:g}: demand must not be negative")
    if value > LARGEST_KEPT:
        raise SourceRefused(f"the query returned {value:g}: demand must be at most {LARGEST_KEPT:.1e}")
    apart = abs(found[0].at - at)
    if apart > trigger.max_staleness_seconds:
        limit = f"maxStaleness is {trigger.max_staleness_seconds:g} s"
        raise SourceUnavailable(
            f"the server answered for a moment {apart:.4g} s from the one it was asked for, {limit}"
        )
    return value + 0.0


def ambiguity(label_sets: Sequence[Mapping[str, str]]) -> AmbiguousDemand:
    """The error for several series where one must be."""
    return AmbiguousDemand(_several(label_sets))


def _several(label_sets: Sequence[Mapping[str, str]]) -> str:
    shown = ", ".join(map(_labels, label_sets[:2])) + (", …" if len(label_sets) > 2 else "")
    return f"the query returned {len(label_sets)} series, {shown}; it must return one: aggregate it, as with sum()"


def _labels(labels: Mapping[str, str]) -> str:
    pairs = (f'{name[:100]}="{value[:100]}"' for name, value in itertools.islice(labels.items(), 10))
    return shortened("{" + ", ".join(pairs) + "}", 100)
