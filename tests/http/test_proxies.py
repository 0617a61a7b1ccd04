"""Which proxy the environment names: NO_PROXY in every form, loopback, proxies that cannot be used."""

import pytest

from scaler.http.proxies import ProxyUnusable, not_understood, proxy_for

PROXY = {"HTTP_PROXY": "http://proxy:3128"}


def is_direct(host: str, no_proxy: str) -> bool:
    return proxy_for(f"http://{host}/api", {**PROXY, "NO_PROXY": no_proxy}) is None


@pytest.mark.parametrize(
    ("no_proxy", "covered", "other"),
    [
        ("prometheus", "prometheus:9090", "thanos:9090"),
        ("example.com", "example.com", "notexample.com"),
        ("example.com", "a.b.example.com", "example.com.evil.org"),
        (".example.com", "a.example.com", "example.com"),
        ("*.example.com", "a.example.com", "example.com"),
        ("localhost,.svc", "prometheus.monitoring.svc", "prometheus.monitoring"),
        (".svc.cluster.local", "p.m.svc.cluster.local.", "p.m.svc"),
        ("EXAMPLE.com", "Example.COM", "example.org"),
        ("prometheus:9090", "prometheus:9090", "prometheus:9091"),
        ("http://prometheus", "prometheus", "thanos"),
        ("10.1.2.3", "10.1.2.3:9090", "10.1.2.4:9090"),
        ("10.0.0.0/8", "10.255.1.2", "11.0.0.1"),
        ("10.1.2.3/8", "10.255.1.2", "11.0.0.1"),
        ("172.16.0.0/12 192.168.0.0/16", "192.168.4.4", "172.32.0.1"),
        ("fd02::/112", "[fd02::1]:9090", "[fd03::1]:9090"),
        ("[fd02::]/112", "[fd02::1]", "[fd03::1]"),
        ("[fd02::/112]", "[fd02::1]", "[fd03::1]"),
        ("[2001:db8::7]", "[2001:db8::7]", "[2001:db8::8]"),
        ("2001:db8:0::7", "[2001:db8::7]:9090", "[2001:db8::8]"),
        ("[2001:db8::7]:9090", "[2001:db8::7]:9090", "[2001:db8::7]:9091"),
        ("a, ,10.0.0.0/99,fd02::/999,[", "a", "10.0.0.1"),
    ],
)
def test_no_proxy_covers_names_addresses_and_networks(no_proxy: str, covered: str, other: str) -> None:
    """Names cover what is below them, networks the addresses in them, a port only itself."""
    assert is_direct(covered, no_proxy)
    assert not is_direct(other, no_proxy)


def test_a_star_covers_everything() -> None:
    """Also among other entries."""
    assert is_direct("prometheus", "a,*")


@pytest.mark.parametrize(
    "host", ["localhost", "localhost.:1", "a.localhost", "127.0.0.1:9090", "127.9.9.9", "[::1]:9", "[::ffff:127.0.0.1]"]
)
def test_this_machine_is_never_asked_through_a_proxy(host: str) -> None:
    """Whatever NO_PROXY says, and also where the proxy could not be used."""
    assert proxy_for(f"http://{host}", {"HTTP_PROXY": "socks5://proxy:1080"}) is None


@pytest.mark.parametrize(
    ("environment", "url", "shown"),
    [
        ({"HTTP_PROXY": "http://proxy:3128"}, "http://a", "http://proxy:3128"),
        ({"HTTP_PROXY": "http://proxy:3128"}, "https://a", None),
        ({"HTTPS_PROXY": "https://proxy"}, "https://a", "https://proxy"),
        ({"ALL_PROXY": "proxy:3128"}, "https://a", "http://proxy:3128"),
        ({"ALL_PROXY": "socks5://s:1", "HTTP_PROXY": "http://proxy:3128/"}, "http://a", "http://proxy:3128"),
        ({"HTTP_PROXY": "http://upper:1", "http_proxy": "http://lower:1"}, "http://a", "http://lower:1"),
        ({"HTTP_PROXY": "http://upper:1", "http_proxy": ""}, "http://a", None),
        ({"HTTP_PROXY": "http://[fd00::1]:3128"}, "http://a", "http://[fd00::1]:3128"),
        ({"HTTP_PROXY": "http://me:secret@proxy:3128"}, "http://a", "http://proxy:3128"),
        ({}, "http://a", None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "no url", None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "http://[bad", None),
    ],
)
def test_the_variable_of_the_scheme(environment: dict[str, str], url: str, shown: str | None) -> None:
    """The scheme's own variable before ALL_PROXY, lower case before upper case; never with its password."""
    found = proxy_for(url, environment)
    assert (found and found.shown) == shown
    assert "secret" not in repr(found)


@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy", "HTTP_PROXY"])
@pytest.mark.parametrize(
    "value",
    [
        "socks5://me:secret@127.0.0.1:1080",
        "socks://127.0.0.1:1080/",
        "socks5h://p:1",
        "ftp://p",
        "http://[bad",
        "http://p:x",
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(variable: str, value: str) -> None:
    """One line, without user name and password."""
    with pytest.raises(ProxyUnusable, match=f"^{variable} of the environment") as raised:
        proxy_for("http://prometheus:9090", {variable: value})
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_entries_that_nobody_understands() -> None:
    """A network that is none, so that an error can name it."""
    assert not_understood({"no_proxy": "a,10.0.0.0/99,.b,fd02::/112,http://c"}) == ["10.0.0.0/99"]
