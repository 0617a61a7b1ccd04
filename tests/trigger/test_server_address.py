"""Which servers a trigger may name: an address is compared part by part, never as one text."""

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.trigger.server_address import chosen_by_tenants, is_allowed, is_pattern, parse_server_address, redact

PATTERNS = (
    "http://prometheus.monitoring:9090",
    "https://*.metrics.example.com/tenants/*/prom",
    "http://10.0.0.*:*",
    "http://a?b",
)


@pytest.mark.parametrize(
    "text",
    [
        "http://prometheus.monitoring:9090",
        "http://PROMETHEUS.Monitoring.:9090/",
        "http://prometheus.monitoring:9090/prefix",
        "https://eu.metrics.example.com/tenants/a/prom",
        "https://eu.metrics.example.com:443/tenants/a/prom/sub",
        "http://10.0.0.7:8428",
        "http://axb",
    ],
)
def test_allowed(text: str) -> None:
    """What the operator meant by the patterns is let through."""
    assert is_allowed(parse_server_address(text), PATTERNS)


@pytest.mark.parametrize(
    "text",
    [
        "http://evil.com",
        "http://evil.com/http://prometheus.monitoring:9090",
        "http://prometheus.evil.com:9090",
        "http://prometheus.monitoring:9091",
        "http://prometheus.monitoring",
        "https://prometheus.monitoring:9090",
        "http://prometheus.monitoring:9090@evil.com",
        "http://prometheus.monitoring:9090#@evil.com",
        "http://evil.com#.monitoring:9090",
        "http://evil.com?.monitoring:9090",
        "http://evil.com\\.monitoring:9090",
        "http://prometheus.monitoring%2eevil.com:9090",
        "https://a.b.metrics.example.com/tenants/a/prom",
        "https://evil.com/metrics.example.com/tenants/a/prom",
        "https://eu.metrics.example.com/tenants/a/b/prom",
        "https://eu.metrics.example.com/tenants/../admin/prom",
        "https://eu.metrics.example.com/tenants/a/prom/../../../admin",
        "https://eu.metrics.example.com/tenants/a/prom/%2e%2e/admin",
        "https://eu.metrics.example.com/tenants//prom",
        "https://eu.metrics.example.com/tenants/a/prometheus",
        "http://10.0.0.7.evil.com:80",
        "http://10.0.1.7:80",
        "http://167772167:9090",
        "http://0x0a000007:9090",
        "http://10.0.7:80",
        "http://010.0.0.7:80",
        "http://[::ffff:10.0.0.7]:80",
        "http://[::1",
        "http://[fe80::1%25eth0]:9090",
        "http://prometheus.monitoring:99999",
        "http://prometheus.monitoring:port",
        "http://prometheus.mon\tito\nring:9090",
        "http://prometheus.ｍonitoring:9090",
        "ftp://prometheus.monitoring:9090",
        "//prometheus.monitoring:9090",
        "http:prometheus.monitoring:9090",
        "http://:9090",
        "",
    ],
)
def test_refused(text: str) -> None:
    """No trick gets a server past the patterns that they do not name."""
    try:
        address = parse_server_address(text)
    except ValueError:
        return
    assert not is_allowed(address, PATTERNS)


def test_a_star_alone_allows_every_server() -> None:
    """The operator may open it up, in so many words; addresses must still be addresses."""
    assert is_allowed(parse_server_address("https://anything.example.com"), ("*",))
    with pytest.raises(ValueError, match="user or a password"):
        parse_server_address("https://user@anything.example.com")


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "1.2.3.4.5"])
def test_a_number_is_no_host_name(host: str) -> None:
    """A resolver would read these as an IPv4 address that no pattern names, so they are refused as hosts."""
    with pytest.raises(ValueError, match="not an IP address"):
        parse_server_address(f"http://{host}:9090")


def test_ipv6_is_compared_as_a_number() -> None:
    """Two spellings of one IPv6 address are the same host."""
    assert is_allowed(parse_server_address("http://[0:0::1]:9090"), ("http://[::1]:9090",))
    assert str(parse_server_address("http://[0:0::1]:9090/x/")) == "http://[::1]:9090/x"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("*", True), (PATTERNS[0], True), (PATTERNS[1], True), ("prometheus:9090", False), ("http://a:9*", False)],
)
def test_patterns_that_can_match(pattern: str, expected: bool) -> None:
    """An operator's pattern that could never match is recognised as such."""
    assert is_pattern(pattern) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://prometheus:9090/x", "http://prometheus:9090/x"),
        ("http://u:p@host/x", "http://***@host/x"),
        ("http://u:p/w@host", "http://***@host"),
        ("http://host?a=b", "http://host"),
        ("u:p@host", "***@…"),
    ],
)
def test_redact(text: str, expected: str) -> None:
    """What may be a credential is cut out of what a message repeats."""
    assert redact(text) == expected


@given(st.text(max_size=80) | st.text("htp:/@.*[]%a1?#\\", max_size=40).map("http://".__add__), st.text(max_size=40))
def test_any_text_is_parsed_or_refused(text: str, pattern: str) -> None:
    """Strange text raises ValueError at most, and a strange pattern matches nothing or something, quietly."""
    try:
        address = parse_server_address(text)
    except ValueError:
        return
    is_allowed(address, (pattern, f"http://{pattern}"))
    assert parse_server_address(str(address)) == address


@pytest.mark.parametrize(
    "pattern",
    [
        "http://prometheus.*:9090",
        "http://prometheus.team-*:9090",
        "http://prometheus.?:9090",
        "http://*.*",
        "http://a.prometheus.*",
        "*://prometheus.*.svc",
        "http://prometheus.*.svc:9090/path",
        "http://prometheus.*.svc.cluster.local",
        "http://prometheus.*.SVC.cluster.local.",
        "http://prometheus.*.s?c.example.com",
        "http://prometheus.*.*.example.com",
        "http://10-0-0-1.*.pod.cluster.local",
    ],
)
def test_a_star_for_a_namespace_is_refused(pattern: str) -> None:
    """Whoever may create a namespace would choose the server; the message has what to write instead."""
    assert is_pattern(pattern)
    rule = chosen_by_tenants(pattern)
    assert "{namespace}" in rule
    instead = rule.partition(" as ")[2].partition(", or")[0]
    assert is_pattern(instead)
    assert "*" not in instead.partition("://")[2].split("/")[0].split(".")[-1]


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "http://*:9090",
        "http://prometheus-*",
        "http://*.monitoring:9090",
        "http://*.monitoring.svc.cluster.local",
        "https://*.metrics.example.com/tenants/*/prom",
        "https://mimir.*.example.com",
        "http://10.0.0.*:*",
        "http://prometheus.{namespace}:9090",
        "http://[::1]:9090",
    ],
)
def test_other_stars_stay(pattern: str) -> None:
    """A `*` for a service of a named namespace, a part of the operator's own domain or of a network is no choice of
    who may create namespaces."""
    assert is_pattern(pattern)
    assert chosen_by_tenants(pattern) == ""


def test_a_pattern_with_the_namespace_is_bound_to_the_trigger() -> None:
    """`{namespace}` is the namespace of the trigger that asks, in host and path, and nothing that a caller writes."""
    patterns = ("http://prometheus.{namespace}:9090", "https://mimir/tenants/{namespace}/prom")
    own, other = (
        parse_server_address("http://prometheus.shop:9090"),
        parse_server_address("http://prometheus.evil:9090"),
    )
    assert is_allowed(own, patterns, "shop")
    assert not is_allowed(other, patterns, "shop")
    path = parse_server_address("https://mimir/tenants/shop/prom")
    assert is_allowed(path, patterns, "shop")
    assert not is_allowed(path, patterns, "evil")
    for claim in ("", "*", "?", "sho?", "s*p", "shop.x", "Shop"):
        assert not is_allowed(own, patterns, claim)
        assert not is_allowed(path, patterns, claim)


def test_a_network_pattern_covers_addresses_only() -> None:
    """`10.0.0.*` is no host name whose last part somebody registers."""
    assert is_allowed(parse_server_address("http://10.0.0.7:1"), ("http://10.0.0.*:*",))
    assert not is_allowed(parse_server_address("http://10.0.0.evil:1"), ("http://10.0.0.*:*",))


@pytest.mark.parametrize("braces", ["http://{x}:9090", "http://a.{namespace:9090", "http://a.namespace}", "http://{}"])
def test_other_braces_are_no_pattern(braces: str) -> None:
    """`{namespace}` is the only word in braces."""
    assert not is_pattern(braces)


@pytest.mark.parametrize("stars", ["a*" * 200 + "b", "*a?" * 200, "?*" * 300, "*" * 500])
def test_many_stars_against_a_long_path_take_no_time(stars: str) -> None:
    """A regular expression of this pattern would try more ways than there are atoms."""
    address = parse_server_address("http://host/" + "a" * 2000)
    began = time.process_time()
    for _ in range(10):
        is_allowed(address, (f"http://host/{stars}",))
    assert time.process_time() - began < 5


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_matching_agrees_with_the_shell(pattern: str, segment: str) -> None:
    """`*` and `?` mean what they mean in a shell."""
    expected = fnmatch.fnmatchcase(f"x{segment}", f"x{pattern}")
    assert is_allowed(parse_server_address(f"http://h/x{segment}"), (f"http://h/x{pattern}",)) is expected
