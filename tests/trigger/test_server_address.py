"""Which servers a trigger may name: an address is compared part by part, never as one text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.trigger.server_address import is_allowed, is_pattern, parse_server_address, redact

PATTERNS = (
    "http://prometheus.*:9090",
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
