"""One plain (unquoted) scalar → its value, by the rules of sigs.k8s.io/yaml, which kubectl, Helm and KEDA read with.

These rules are neither YAML 1.1 nor 1.2: `1e1` and `0o17` are numbers, `y` and `on` are booleans, `1:30` and dates are
strings. They follow goyaml.v2/resolve.go.
"""

import math
import re
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

_CASES = (str.lower, str.capitalize, str.upper)
_WORDS: dict[str, Scalar] = {
    "": None,
    "~": None,
    "y": True,
    "Y": True,
    "n": False,
    "N": False,
    **{case("null"): None for case in _CASES},
    **{case(word): True for case in _CASES for word in ("yes", "true", "on")},
    **{case(word): False for case in _CASES for word in ("no", "false", "off")},
    **{sign + case: float(sign + "inf") for sign in ("", "+", "-") for case in (".inf", ".Inf", ".INF")},
    **{case: float("nan") for case in (".nan", ".NaN", ".NAN")},
}
_INTEGER = re.compile(
    r"(?P<sign>[+-]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<binary>[01]+)|0[oO]?(?P<octal>[0-7]+)|(?P<decimal>0|[1-9][0-9]*))"
)
_BASES = {"hex": 16, "binary": 2, "octal": 8, "decimal": 10}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_POINT_FLOAT = re.compile(r"\.[0-9]+(_[0-9]+)*([eE][-+]?[0-9]+(_[0-9]+)*)?")
_LONGEST_NUMBER = 4000
"""characters; a longer scalar is no number of a Kubernetes object"""


def plain_value(text: str) -> Scalar:
    """The value of an unquoted scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _LONGEST_NUMBER or not text.isascii():
        return text
    if text[0] == ".":
        point = float(text) if _POINT_FLOAT.fullmatch(text) else math.inf
        return point if math.isfinite(point) else text
    if text[0] not in "+-0123456789":
        return text
    plain = text.replace("_", "")
    if (number := _integer(plain)) is not None and _fits_64_bits(number, signed=plain[0] in "+-"):
        return number
    if _FLOAT.fullmatch(plain) and math.isfinite(float(plain)):
        return float(plain)
    return text if number is None else number


def kind_of(value: object) -> str:
    """The name of the value's YAML type, as `int`."""
    names = {str: "str", int: "int", float: "float", bool: "bool", type(None): "null", dict: "map", list: "seq"}
    return names[type(value)]


def _integer(text: str) -> int | None:
    found = _INTEGER.fullmatch(text)
    if found is None:
        return None
    digits, base = next((found[name], base) for name, base in _BASES.items() if found[name] is not None)
    return int(found["sign"] + digits, base)


def _fits_64_bits(number: int, signed: bool) -> bool:
    """Larger ones become floats where they are decimal."""
    return -(2**63) <= number < (2**63 if signed else 2**64)
