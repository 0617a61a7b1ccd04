"""Settings: where a value comes from, and what is refused."""

import json
import os
from pathlib import Path

import pytest

from scaler.settings import Settings, SettingsInvalid, in_force, load_settings


def faults(**flags) -> dict[str, str]:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(flags)
    return {fault.field: fault.rule for fault in caught.value.faults}


@pytest.fixture
def yaml(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "headway.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_defaults_are_those_that_were_promised():
    """Without any source the documented defaults hold, and nothing outside the process is needed."""
    settings = load_settings()
    assert settings.grpc_address == "0.0.0.0:50051"
    assert settings.http_address == "0.0.0.0:8080"
    assert settings.refresh_interval == 15.0
    assert settings.log_format == "json"
    assert (settings.redis, settings.database, settings.prometheus) == (None, None, "")


def test_flag_over_environment_over_file_over_default(yaml, monkeypatch):
    """Each source gives way to the one above it."""
    path = yaml("refresh-interval: 30s\nlog-format: console\ngrpc-address: 127.0.0.1:1\n")
    monkeypatch.setenv("HEADWAY_REFRESH_INTERVAL", "20s")
    monkeypatch.setenv("HEADWAY_LOG_FORMAT", "json")
    settings = load_settings({"config": path, "refresh_interval": "10s"})
    assert settings.refresh_interval == 10.0
    assert settings.log_format == "json"
    assert settings.grpc_address == "127.0.0.1:1"
    assert settings.http_address == "0.0.0.0:8080"


def test_config_file_named_by_the_environment(yaml, monkeypatch):
    """HEADWAY_CONFIG names the file as --config does."""
    monkeypatch.setenv("HEADWAY_CONFIG", yaml("drain_grace: 1m30s"))
    assert load_settings().drain_grace == 90.0


def test_flags_that_were_not_given_are_no_values(monkeypatch):
    """None and empty lists do not hide the environment."""
    monkeypatch.setenv("HEADWAY_ALLOW_SERVER_ADDRESS", "http://a:9090, http://*.b:9090")
    settings = load_settings({"allow_server_address": [], "prometheus": None})
    assert settings.allow_server_address == ("http://a:9090", "http://*.b:9090")


def test_every_fault_is_told_at_once(yaml):
    """Unknown keys, unparsable values and contradictions come in one error, each with field, value and rule."""
    path = yaml("grpc-adress: x\npublish-grace: 20s\nmax-query-length: -1\n")
    with pytest.raises(SettingsInvalid) as caught:
        load_settings({"config": path, "refresh_interval": "7s", "log_format": "xml", "http_address": "8080"})
    found = {fault.field: (fault.value, fault.rule) for fault in caught.value.faults}
    assert set(found) == {
        "grpc-adress", "publish-grace", "max-query-length", "refresh-interval", "log-format", "http-address",
    }  # fmt: skip
    assert found["grpc-adress"] == ("***", "unknown setting; did you mean grpc-address?")
    assert "7s" in str(caught.value)
    assert str(caught.value).startswith("6 faults in the settings:\n  ")


@pytest.mark.parametrize("interval", ["5s", "6s", "10s", "12s", "15s", "20s", "30s", "1m"])
def test_refresh_intervals_that_divide_a_minute(interval):
    """Every divisor of a minute from 5 s on is taken."""
    assert 60 % load_settings({"refresh_interval": interval}).refresh_interval == 0


@pytest.mark.parametrize("interval", ["4s", "7s", "2m", "0s", "-15s", "15", "soon", ""])
def test_refresh_intervals_that_are_refused(interval):
    """Too short, no divisor of a minute, not a duration, or without a unit."""
    assert set(faults(refresh_interval=interval)) == {"refresh-interval"}


def test_tls_files_go_together(tmp_path):
    """A certificate without key, and a client authority without certificate, are contradictions."""
    pem = tmp_path / "x.pem"
    pem.write_text("x")
    assert faults(tls_cert=str(pem)) == {"tls-cert": "needs tls-key"}
    assert faults(tls_key=str(pem)) == {"tls-key": "needs tls-cert"}
    assert faults(tls_client_ca=str(pem)) == {"tls-client-ca": "needs tls-cert and tls-key"}


def test_faulty_field_hides_what_only_follows_from_it(tmp_path):
    """A key that cannot be read is one fault, not also a certificate that lacks its key."""
    pem = tmp_path / "x.pem"
    pem.write_text("x")
    assert set(faults(tls_cert=str(pem), tls_key=str(tmp_path / "none"))) == {"tls-key"}


def test_credentials_need_their_other_half_and_a_server(tmp_path):
    """A user without password, two kinds of credentials, or credentials for nobody are refused."""
    secret = tmp_path / "secret"
    secret.write_text("x")
    server = {"prometheus": "http://p:9090"}
    assert faults(**server, prometheus_username="a") == {"prometheus-username": "needs prometheus-password-file"}
    both = {
        "prometheus_username": "a",
        "prometheus_password_file": str(secret),
        "prometheus_bearer_token_file": str(secret),
    }
    assert set(faults(**server, **both)) == {"prometheus-bearer-token-file"}
    assert faults(prometheus_bearer_token_file=str(secret)) == {
        "prometheus-bearer-token-file": "needs prometheus, the server that it applies to"
    }


def test_servers_of_the_file_stand_after_the_default_one(yaml, tmp_path):
    """`known_servers` has the default server with its credentials first, in the terms of the history stage."""
    from scaler.history.credentials import ServerAccess

    token = tmp_path / "token"
    token.write_text("x")
    path = yaml(f"servers:\n  - pattern: https://mimir\n    bearer-token-file: {token}\n    tenant: a\n")
    settings = load_settings({"config": path, "prometheus": "http://p:9090/", "prometheus_tenant": "b"})
    access = [ServerAccess(**server.model_dump()) for server in settings.known_servers]
    assert [(a.pattern, a.tenant) for a in access] == [("http://p:9090", "b"), ("https://mimir", "a")]
    assert access[1].bearer_token_file == token


def test_the_method_holds_for_every_server():
    """A proxy that allows GET alone may stand before servers that only a trigger names; a method is no secret."""
    settings = load_settings({"prometheus_method": "GET"})
    assert [(server.pattern, server.method, server.username) for server in settings.known_servers] == [("*", "GET", "")]


def test_faults_in_entries_of_lists_name_their_place(yaml):
    """An unknown key in a server and a misspelt key in a listed trigger say which entry it is."""
    assert faults(config=yaml("servers:\n  - pattern: http://x\n    usernam: a\n")) == {
        "servers.0.usernam": "unknown setting; did you mean username?"
    }
    trigger = "triggers:\n  - {namespace: a, name: b, metadata: {query: up, treshold: '1'}}\nprometheus: http://p\n"
    assert set(faults(config=yaml(trigger))) == {"triggers.0.threshold", "triggers.0.treshold"}


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "just text", "config: other.yaml"])
def test_files_that_are_no_settings(yaml, text):
    """What is no YAML mapping, or names another file, is refused as the file it is."""
    assert set(faults(config=yaml(text))) == {"config"}


def test_missing_file_is_told_with_the_other_faults():
    """A file that is not there does not hide other faults."""
    assert set(faults(config="/nowhere.yaml", log_level="loud")) == {"config", "log-level"}


def test_secrets_are_never_shown(yaml):
    """Neither the settings nor their faults repeat a password."""
    settings = load_settings({"redis": "redis://:geheim@r/0", "database": "postgresql://u:geheim@d/h"})
    assert "geheim" not in repr(settings)
    assert settings.redis is not None
    assert settings.redis.get_secret_value() == "redis://:geheim@r/0"
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(
            {
                "redis": "http://:geheim@r",
                "database": "mysql://u:geheim@d",
                "prometheus": "http://u:geheim@p",
                "config": yaml("redsi: redis://:geheim@r"),
            }
        )
    assert len(caught.value.faults) == 4
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "url", "rule"),
    [
        ("redis", "redis://:geheim@r/0?decode_responses=true", "unknown option 'decode_responses' in the URL"),
        ("redis", "redis://:geheim@r/0?ssl_ca_certs=/ca.pem", "only a rediss:// URL has TLS"),
        ("redis", "redis://r/0?password=geheim#more", "percent-encoded"),
        ("database", "postgresql://u:geheim@d/h?channel_binding=require", "unknown option 'channel_binding'"),
        ("database", "postgresql://d/h?sslpassword=geheim&sslmode=blue", "must be one of allow, disable"),
        ("database", "postgresql://u:geheim@d:port/h", "the port in the URL is a number"),
        ("database", "sqlite:///headway.db?mode=ro", "no options"),
    ],
)
def test_a_url_of_a_store_is_checked_with_its_options(setting: str, url: str, rule: str) -> None:
    """An option that no driver would take, or take amiss, is one of the faults, without the password."""
    with pytest.raises(SettingsInvalid) as caught:
        load_settings({setting: url, "log_level": "loud"})
    assert {fault.field for fault in caught.value.faults} == {setting, "log-level"}
    assert rule in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_settings_cannot_be_changed_afterwards():
    """Settings are a value: what a part was given stays."""
    settings = load_settings()
    with pytest.raises(ValueError):
        settings.prometheus = "http://elsewhere"  # type: ignore[misc]
    assert isinstance(settings, Settings)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("max_query_length", "0", "must be at least 1"),
        ("inference_threads", "99", "must be at most 64"),
        ("inference_threads", "two", "must be a whole number"),
        ("log_format", "xml", "must be 'json' or 'console'"),
    ],
)
def test_rules_are_told_in_our_words(field, value, rule):
    """A fault is field, value and rule, whoever found it."""
    assert faults(**{field: value}) == {field.replace("_", "-"): rule}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("colour: geheim", "colour='***': unknown setting"),
        ("servers: [{pattern: 'http://a', bearer-token: geheim}]",
         "servers.0.bearer-token='***': unknown setting; did you mean bearer-token-file?"),
        ("triggers: [{namespace: a, name: b, metadata: {query: up, threshold: 5}}]",
         "triggers.0.metadata.threshold='***': must be quoted: it is text"),
        ("grpc-address: 50051", "grpc-address='50051': must be HOST:PORT, as 0.0.0.0:50051 or [::]:50051"),
    ],
)  # fmt: skip
def test_faults_of_the_file(yaml, text, fault):
    """No value is repeated of which nobody knows what it is; what YAML reads as a number is told what it must be."""
    with pytest.raises(SettingsInvalid) as caught:
        load_settings({"config": yaml(f"{text}\nprometheus: http://p\n")})
    assert list(map(str, caught.value.faults)) == [fault]


def test_what_an_entry_lacks_is_required(yaml):
    """A missing key has no value to be shown."""
    with pytest.raises(SettingsInvalid) as caught:
        load_settings({"config": yaml("servers:\n  - tenant: a\n")})
    assert list(map(str, caught.value.faults)) == ["servers.0.pattern='': is required"]


def test_only_the_wrong_ones_of_a_list_are_named():
    """One wrong pattern among right ones is told apart."""
    assert faults(allow_server_address=["http://a", "b"])["allow-server-address"].endswith("(wrong: b)")


def test_fault_of_the_file_has_its_line(yaml):
    """What is no YAML is found by line and column."""
    rule = faults(config=yaml("redis: x\nprometheus: [\n"))["config"]
    assert rule.startswith("must be YAML: line 3, column 1: ")


def test_settings_in_force_show_no_secrets(yaml, tmp_path):
    """What was set, as the file spells it, without defaults, credentials and the values of metadata."""
    token = tmp_path / "token"
    token.write_text("geheim")
    text = (
        f"servers:\n  - pattern: http://m\n    bearer-token-file: {token}\n"
        "triggers:\n  - {namespace: a, name: b, metadata: {query: secretly, threshold: '1'}}\n"
        "prometheus: http://p\nredis: redis://:geheim@r/0\ndatabase: postgresql://u:geheim@d/h\n"
    )
    shown = in_force(load_settings({"config": yaml(text), "drain_grace": "90s"}))
    assert shown.keys() == {"config", "servers", "triggers", "prometheus", "redis", "database", "drain-grace"}
    assert (shown["drain-grace"], shown["redis"]) == ("1m30s", "redis://***@r/0")
    assert shown["servers"] == [{"pattern": "http://m", "bearer-token-file": str(token)}]
    assert shown["triggers"] == [{"namespace": "a", "name": "b", "metadata": {"query": "***", "threshold": "***"}}]
    assert "geheim" not in json.dumps(shown)


def test_namespaces_to_discover(monkeypatch, yaml):
    """Repeated flags, a text with commas, a list in the file; `*` stands alone."""
    assert load_settings({"discover_namespaces": ["shop", "blog", "shop"]}).discover_namespaces == ("shop", "blog")
    assert load_settings({"config": yaml('discover-namespaces: ["*"]')}).discover_namespaces == ("*",)
    monkeypatch.setenv("HEADWAY_DISCOVER_NAMESPACES", "shop, blog")
    assert load_settings().discover_namespaces == ("shop", "blog")


@pytest.mark.parametrize("namespaces", [["Shop"], ["shop/web"], ["a" * 64], ["-a"], ["*", "shop"], ["sh*"]])
def test_what_is_no_namespace_is_refused(namespaces):
    assert "must be" in faults(discover_namespaces=namespaces)["discover-namespaces"]


def test_settings_of_discovery_that_do_not_fit_together(tmp_path):
    """Files without discovery would do nothing, and a token is never sent in the clear."""
    file = tmp_path / "token"
    file.write_text("t")
    assert "needs discover-namespaces" in faults(kubernetes_token_file=str(file))["kubernetes-token-file"]
    found = faults(discover_namespaces="shop", kubernetes_api="http://127.0.0.1:8001", kubernetes_token_file=str(file))
    assert "https://" in found["kubernetes-token-file"]


def test_a_server_pattern_that_tenants_choose_is_refused():
    """The start says so, with the pattern to write instead; credentials know no namespace."""
    text = faults(allow_server_address=["http://prometheus.*:9090"])["allow-server-address"]
    assert "http://prometheus.{namespace}:9090" in text
    bound = load_settings({"allow_server_address": ["http://prometheus.{namespace}:9090"]})
    assert bound.allow_server_address == ("http://prometheus.{namespace}:9090",)
    found = faults(servers=[{"pattern": "http://prometheus.{namespace}:9090"}, {"pattern": "http://prometheus.*"}])
    assert "must not hold {namespace}" in found["servers.0.pattern"]
    assert "any namespace" in found["servers.1.pattern"]


def test_a_server_pattern_that_is_none_names_what_it_may_hold():
    """`{ns}` is a likely guess at `{namespace}`."""
    text = faults(allow_server_address=["http://prometheus.{ns}:9090"])["allow-server-address"]
    assert "{namespace} for the trigger's own" in text


def test_the_doors(tmp_path):
    """What the ports need of each other is asked for at the start."""
    file = tmp_path / "file"
    file.write_text("x")
    assert faults(http_tls="tls") == {"http-tls": "needs tls-cert and tls-key"}
    assert "tls-client-ca" in faults(http_tls="mtls", tls_cert=str(file), tls_key=str(file))["http-tls"]
    assert "'tls'" in faults(http_tls="on")["http-tls"]
    assert faults(probe_address="0.0.0.0:8080") == {"probe-address": "must differ from http-address"}
    assert "HOST:PORT" in faults(probe_address="8081")["probe-address"]
    assert "without port" in faults(http_allowed_hosts=["headway:8080"])["http-allowed-hosts"]
    assert faults(grpc_reflection="maybe") == {"grpc-reflection": "must be true or false"}
    assert faults(http_max_connections_per_client="0") == {"http-max-connections-per-client": "must be at least 1"}
    opened = load_settings(
        {"http_tls": False, "probe_address": "", "grpc_reflection": "true", "http_allowed_hosts": "Headway.keda.,*.a.b"}
    )
    assert (opened.http_tls, opened.probe_address, opened.grpc_reflection) == ("off", "", True)
    assert opened.http_allowed_hosts == ("headway.keda", "*.a.b")


def test_protocols_of_the_bundle():
    """What is not encrypted needs a setting; what is chained is refused whatever its parts."""
    text = faults(bundle="http://models/headway")["bundle"]
    assert text.endswith("to use http, add it there")
    assert load_settings({"bundle": "http://models/x", "bundle_protocols": ["http"]}).bundle == "http://models/x"
    for place in ("simplecache::s3://bucket/x", "zip://x::https://models/x.zip", "file::/tmp"):
        assert "chained" in faults(bundle=place)["bundle"]
    for place in ("/srv/bundle", "s3://bucket/x", "https://models/x", "abfs://models@account/x"):
        assert load_settings({"bundle": place}).bundle == place
    assert "wrong: s3://" in faults(bundle_protocols=["s3://"])["bundle-protocols"]
    assert "secret" not in str(faults(bundle="ftp://user:secret@models/x?sig=secret"))


@pytest.mark.parametrize(
    "setting", ["allow_server_address", "http_allowed_hosts", "prometheus", "installation", "bundle"]
)
def test_what_is_no_utf_8_is_a_fault_of_its_setting(setting, monkeypatch):
    """The environment may hold any bytes; a message about them must be printable."""
    monkeypatch.setenv(f"HEADWAY_{setting.upper()}", "http://a\udcff,b")
    with pytest.raises(SettingsInvalid) as caught:
        load_settings({})
    (fault,) = caught.value.faults
    assert fault.field == setting.replace("_", "-")
    assert str(caught.value).encode()


@pytest.mark.parametrize("setting", ["config", "http_token_file", "tls_cert", "prometheus_bearer_token_file"])
@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_what_is_no_file_is_not_read(setting, kind, tmp_path):
    """A device may have no end, and a pipe no beginning."""
    path = Path("/dev/zero")
    if kind == "pipe":
        path = tmp_path / "pipe"
        os.mkfifo(path)
    assert "it is a pipe or device" in faults(**{setting: str(path)})[setting.replace("_", "-")]
