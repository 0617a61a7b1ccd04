"""What a query's text consists of, as far as Prometheus and VictoriaMetrics read it alike. Pure, and linear in time.

The two grammars differ: a comment ends at a carriage return in Prometheus only (promql/parser/lex.go), a backslash
escapes a quote between backquotes, and a bracket in a name, in VictoriaMetrics only (metricsql, lexer.go). So whatever
could be read in two ways is not `self_contained`.
"""

import re

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# A string that never closes ends at the line's end or at the text's: each lexeme is read once.
_LEXEME = re.compile(
    r"""  "(?:\\[^\n]|[^"\\\n])*"?
        | '(?:\\[^\n]|[^'\\\n])*'?
        | `[^`]*`?
        | \#[^\n]*
    """,
    re.VERBOSE,
)
_STRING = re.compile(r"""  "(?:\\[^\n]|[^"\\\n])*" | '(?:\\[^\n]|[^'\\\n])*' | `[^`]*(?<!\\)` """, re.VERBOSE)
"""one that ends where both grammars end it"""
_PLAIN = re.compile(r"[A-Za-z0-9_:.,+\-*/%^=!<>~@()\[\]{} \t\n]*")
_BRACKET = re.compile(r"[()\[\]{}]")
_CLOSES = {")": "(", "]": "[", "}": "{"}
_NESTED_NAMES = re.compile(r"(?i)\bwith\s*\(")
"""VictoriaMetrics's templates"""

CONTROL = (
    "must not contain a carriage return, another control character or a Unicode line separator: "
    "end lines with a line feed"
)
BACKSLASH = (
    r"must not contain a backslash outside of quotes: write a name with special characters as "
    r'{__name__="name"} and a label as {"label"="value"}'
)


def fault(query: str) -> str:
    """The rule that the text breaks whatever the server is; empty where it breaks none."""
    if _CONTROL.search(query):
        return CONTROL
    return BACKSLASH if "\\" in query and "\\" in _without_strings(query) else ""


def self_contained(query: str) -> bool:
    """Whether `query` may stand inside another: every bracket and string that opens in it closes in it, for any server.

    `1) or (1` would break out of the parentheses put around it and answer for its neighbours. Comments, templates and
    characters that no query needs outside of strings are not allowed either.
    """
    if _CONTROL.search(query) or not all(map(_STRING.fullmatch, _LEXEME.findall(query))):
        return False
    rest = masked(query)
    return bool(_PLAIN.fullmatch(rest)) and not _NESTED_NAMES.search(rest) and _is_balanced(rest)


def masked(query: str) -> str:
    """The query with blanks in place of its strings and comments, as long as before."""
    return _LEXEME.sub(lambda found: " " * len(found[0]), query)


def _without_strings(query: str) -> str:
    return _LEXEME.sub(lambda found: found[0] if found[0][0] == "#" else "", query)


def _is_balanced(text: str) -> bool:
    opened: list[str] = []
    for bracket in _BRACKET.findall(text):
        if bracket in _CLOSES:
            if not opened or opened.pop() != _CLOSES[bracket]:
                return False
        else:
            opened.append(bracket)
    return not opened
