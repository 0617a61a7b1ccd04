"""Parameters of the HTTP port's paths: what is wrong with them becomes faults that name parameter, value and rule."""

import re
from collections.abc import Mapping

from scaler.errors import MOST_SPELLED_OUT, Fault
from scaler.telemetry.redaction import excerpt

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 500


def whole_number(query: Mapping[str, str], name: str, default: int, largest: int, faults: list[Fault]) -> int:
    """The parameter, from 1 to `largest`; the default where it is missing or wrong."""
    text = query.get(name)
    if text is None:
        return default
    if re.fullmatch(r"[0-9]{1,9}", text) and 1 <= int(text) <= largest:
        return int(text)
    faults.append(Fault(name, excerpt(text), f"must be a whole number from 1 to {largest}"))
    return default


def unprintable(values: Mapping[str, str]) -> list[Fault]:
    """A fault for each value with characters that no name has, and that some databases refuse."""
    wrong = [(name, value) for name, value in values.items() if not value.isprintable()][:MOST_SPELLED_OUT]
    return [Fault(excerpt(name), excerpt(value), "must not have control characters") for name, value in wrong]


def unknown(query: Mapping[str, str], known: tuple[str, ...]) -> list[Fault]:
    """A fault for each parameter that the path does not know."""
    allowed = f"known are {', '.join(known)}" if known else "this path takes no parameters"
    wrong = [(name, value) for name, value in query.items() if name not in known][:MOST_SPELLED_OUT]
    return [Fault(excerpt(name), excerpt(value), f"unknown parameter; {allowed}") for name, value in wrong]
