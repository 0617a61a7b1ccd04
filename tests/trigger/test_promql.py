"""What may stand in a query, and what may stand inside another one."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.trigger.promql import BACKSLASH, CONTROL, fault, masked, self_contained


@pytest.mark.parametrize(
    "query",
    [
        "sum(rate(http_requests_total[2m]))",
        "x{a=\")\", b='(', c=`{`}",
        r'x{a="\")"}',
        r"x{a='\\'}",
        r"x{path=~`/a/\d+`}",
        '{"metric.name", "größe"=~".+"}',
        "sum by (a) (x)\n  / on() group_left() (y offset -5m @ start()) or vector(0) >= bool 1",
        "max_over_time((x)[1h:5m])",
    ],
)
def test_a_query_that_closes_what_it_opens_may_stand_inside_another(query: str) -> None:
    """Brackets within strings do not count."""
    assert self_contained(query)
    assert fault(query) == ""


@pytest.mark.parametrize(
    ("what", "query"),
    [
        ("a bracket that was not opened", "1) or (1"),
        ("an open bracket", "(1"),
        ("brackets that cross", "{a]"),
        ("an open string", 'x{a="'),
        ("a line break in a string: an error in one grammar, allowed in the other", 'x{a="\n"}'),
        ("an open quote", "`"),
        ("a string that ends with an escaped quote", r'x{a="\"}'),
        ("a backslash before a backquote: the end in one grammar, not in the other", r"x{a=`\`}"),
        ("two of them", r"x{a=`\`, b=`\`}"),
        ("a comment", "x # a comment"),
        ("a comment within", "x # (\n+ y"),
        ("a comment that ends at a carriage return", 'x # "\r) or (1 # "'),
        ("an escaped bracket", r"x\) or (1"),
        ("a name with an escaped quote", r"x\" + y\""),
        ("a template", "WITH (x = 1) x"),
        ("a template on two lines", "with\n(x = 1) x"),
        ("a variable of Grafana's", "rate(x[$__interval])"),
        ("a separator of statements", "x; y"),
        ("a letter outside of strings", "größe"),
        ("a blank that is none", "x\u00a0"),
        ("a separator of lines", "x{a='\u2028'}"),
        ("a control character in a string", 'x{a="\x1b"}'),
        ("half a surrogate pair", 'x{a="\ud800"}'),
    ],
)
def test_what_may_be_read_in_two_ways_stands_alone(what: str, query: str) -> None:
    """Whatever one of the servers may read in another way than the other."""
    assert not self_contained(query), what


@pytest.mark.parametrize("character", ["\r", "\0", "\x0b", "\x0c", "\x1c", "\x7f", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("text", ["up{}", 'up{{a="{}"}}', "up # {}"])
def test_control_characters_are_refused_wherever_they_stand(character: str, text: str) -> None:
    """Also what only some programs take for the end of a line."""
    assert fault(text.format(character)) == CONTROL


@pytest.mark.parametrize("query", [r"up\)", r"\up", r"up # \ ", r'up{a="b"} \\', r"{a\-b='c'}", r"`\`\`", r'"\""\"'])
def test_a_backslash_outside_of_quotes_is_refused(query: str) -> None:
    """In comments too: where one ends is read in two ways."""
    assert fault(query) == BACKSLASH


@given(st.text("ab\"'`\\#()\n\r ", max_size=60))
def test_masking_keeps_positions(query: str) -> None:
    """What is left stands where it stood, and nothing of a string is left."""
    rest = masked(query)
    assert len(rest) == len(query)
    assert all(kept in (" ", character) for kept, character in zip(rest, query, strict=True))
    assert not {'"', "'", "`", "#"} & set(rest)


@pytest.mark.parametrize("text", ['"', r"\"", "'\"", "`", "(", "#", "[\n", r"\\\n"])
def test_a_megabyte_is_read_in_no_time(text: str) -> None:
    """Linear: each character is looked at a few times."""
    query = text * (2**20 // len(text)) + "("
    began = time.process_time()
    assert not self_contained(query)
    fault(query)
    assert time.process_time() - began < 5
