"""Strings → a frozen trigger, or every fault at once."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.errors import MOST_SPELLED_OUT, TriggerInvalid
from scaler.trigger import TRIGGER_KEYS, Mode, PolicyName, ServerIdentity, Trigger, TriggerRules, parse_trigger
from scaler.trigger.schema import KEDA_KEYS, RETIRED_KEYS, relevant, shown_key
from scaler.trigger.sizes import LONGEST_VALUE, MOST_KEYS

RULES = TriggerRules("http://prometheus:9090", ("http://*.monitoring:9090", "http://prometheus.{namespace}:9090"), 200)
LEAST = {"query": "sum(rate(http_requests_total[1m]))", "threshold": "10"}


def parse(rules: TriggerRules = RULES, **metadata: str) -> Trigger:
    return parse_trigger("shop", "web", LEAST | metadata, rules)


def refuse(rules: TriggerRules = RULES, **metadata: str) -> TriggerInvalid:
    with pytest.raises(TriggerInvalid) as caught:
        parse(rules, **metadata)
    return caught.value


def test_two_keys_are_enough() -> None:
    """Query and threshold make a trigger; the rest has the defaults of `Trigger`."""
    made = parse()
    assert made == Trigger("shop", "web", LEAST["query"], 10.0, "http://prometheus:9090", key=made.key)


def test_every_default_is_the_one_that_is_documented() -> None:
    """The default written next to a key, given explicitly, changes nothing but the key of the state."""
    written = {key.name: key.default for key in TRIGGER_KEYS if key.default}
    explicit = parse(**written)
    assert explicit == Trigger("shop", "web", LEAST["query"], 10.0, "http://prometheus:9090", key=explicit.key)


def test_every_key_fills_its_own_field() -> None:
    """The table names each field of `Trigger` once, but for those that KEDA's request itself fills."""
    fields = [key.field for key in TRIGGER_KEYS]
    assert sorted(fields) == sorted(set(Trigger.__dataclass_fields__) - {"namespace", "name", "key", "history_key"})


@pytest.mark.parametrize(
    ("key", "text", "field", "expected"),
    [
        ("threshold", " 12.5 ", "threshold", 12.5),
        ("threshold", "1e3", "threshold", 1000.0),
        ("threshold", "0.0501", "threshold", 0.0501),
        ("threshold", "0.001", "threshold", 0.001),
        ("activationThreshold", "-0", "activation_threshold", 0.0),
        ("quantile", "0.95", "quantile", 0.95),
        ("leadTime", "1m30s", "lead_time_seconds", 90.0),
        ("leadTime", "2h", "lead_time_seconds", 7200.0),
        ("historyWindow", "7d", "history_window_seconds", 7 * 86400.0),
        ("historyWindow", "2w", "history_window_seconds", 14 * 86400.0),
        ("queryStep", "30s", "query_step_seconds", 30.0),
        ("timeout", "2500", "timeout_seconds", 2.5),
        ("timeout", "5s", "timeout_seconds", 5.0),
        ("ignoreNullValues", "true", "ignore_null_values", True),
        ("mode", "shadow", "mode", Mode.SHADOW),
        ("policy", "aggressive", "policy", PolicyName.AGGRESSIVE),
        ("timezone", "Europe/Berlin", "timezone", "Europe/Berlin"),
        ("model", "checkout-2024@3", "model", "checkout-2024@3"),
        ("namespace", "team-a", "tenant", "team-a"),
        ("queryParameters", "dedup=true, match[]=up", "query_parameters", (("dedup", "true"), ("match[]", "up"))),
        ("serverAddress", "http://prometheus.monitoring:9090/", "server_address", "http://prometheus.monitoring:9090"),
        ("query", "\n  sum(x)\n  + 1\n", "query", "sum(x)\n  + 1"),
        ("leadTimeFromEnv", "3m", "lead_time_seconds", 180.0),
    ],
)
def test_reads(key: str, text: str, field: str, expected: object) -> None:
    """A right value arrives as what it means."""
    assert getattr(parse(**{key: text}), field) == expected


@pytest.mark.parametrize(
    ("key", "text"),
    [
        *[("threshold", text) for text in ("", "ten", "0", "-1", "inf", "nan", "1_000", "1e16", "٣", "0x10", "1" * 99)],
        *[("activationThreshold", text) for text in ("-0.1", "nan", "1,5")],
        *[("quantile", text) for text in ("0.5", "1", "90", "0.9%")],
        *[("leadTime", text) for text in ("120", "0s", "-2m", "3h", "2 m", "1mm", "1y", "1..5s", "9" * 30 + "w")],
        *[("historyWindow", text) for text in ("1m", "1y")],
        *[("maxStaleness", text) for text in ("14s", "3h")],
        *[("queryStep", text) for text in ("0s", "1h")],
        *[("timeout", text) for text in ("50", "61s", "0", "1.5")],
        *[("threshold", text) for text in ("0.0015", "0.0104", "0.0495")],
        *[("ignoreNullValues", text) for text in ("True", "1", "yes")],
        *[("mode", text) for text in ("Shadow", "proactive")],
        ("policy", "brave"),
        *[("timezone", text) for text in ("Mars/Olympus", "../../etc/passwd", "Europe", "europe/berlin")],
        *[("model", text) for text in ("../x", "a b")],
        *[("namespace", text) for text in ("a b", "a\nb", "x" * 151)],
        *[("queryParameters", text) for text in ("a", "a=", "=b", "query=up", "Time=3", "a=1,access_token=x", "a=\0")],
        *[("query", text) for text in ("", "   ", "up\0", "up\x1b[31m", "x" * 201, " <fill in: the query>")],
        *[("serverAddress", text) for text in ("prometheus:9090", "http://elsewhere:9090")],
    ],
)
def test_refuses(key: str, text: str) -> None:
    """A wrong value is one fault, which names the key and says the rule."""
    error = refuse(**{key: text})
    assert [fault.field for fault in error.faults] == [key]
    assert error.faults[0].rule
    assert error.threshold == (None if key == "threshold" else 10.0)


def test_reports_all_faults_and_the_threshold() -> None:
    """Each thing that is wrong is told at once; the threshold, which is right, is still there to be used."""
    error = refuse(quantile="2", leadTime="soon", quantil="0.9", timezone="Mars", activationThresholdFromEnv="x")
    assert {fault.field for fault in error.faults} == {
        "quantile",
        "leadTime",
        "quantil",
        "timezone",
        "activationThresholdFromEnv",
    }
    assert error.threshold == 10.0
    assert all(fault.field in str(error) for fault in error.faults)


def test_required_keys() -> None:
    """Without query, threshold and any server there are three faults."""
    with pytest.raises(TriggerInvalid) as caught:
        parse_trigger("shop", "web", {}, TriggerRules())
    assert [fault.field for fault in caught.value.faults] == ["query", "threshold", "serverAddress"]
    assert caught.value.threshold is None


@pytest.mark.parametrize(
    ("misspelt", "hint"),
    [
        ("treshold", "threshold"),
        ("Quantile", "quantile"),
        ("LEADTIME", "leadTime"),
        ("maxStalenes", "maxStaleness"),
        ("serverAdress", "serverAddress"),
        ("lookAhead", "leadTime"),
        ("predictHorizon", "leadTime"),
        ("historyTimeWindow", "historyWindow"),
        ("targetValue", "threshold"),
    ],
)
def test_names_the_key_that_was_meant(misspelt: str, hint: str) -> None:
    """An unknown key is a fault that points to the nearest known one; its value is not repeated."""
    (fault,) = refuse(**{misspelt: "s3cr3t"}).faults
    assert fault.field == misspelt
    assert f"did you mean {hint}?" in fault.rule
    assert "s3cr3t" not in str(fault)


@pytest.mark.parametrize(
    "key",
    ["bearerToken", "username", "password", "customHeaders", "authModes", "apiKey", "tlsClientKey", "passwordFromEnv"],
)
def test_refuses_credentials_without_repeating_them(key: str) -> None:
    """Credentials are refused with a word on where they belong, and appear nowhere in the message."""
    error = refuse(**{key: "hunter2"})
    assert len(error.faults) == 1
    assert "operator" in str(error) or "TriggerAuthentication" in str(error)
    assert "hunter2" not in str(error)
    assert "hunter2" not in repr(error.faults)


@pytest.mark.parametrize(
    "metadata",
    [
        {"serverAddress": "http://admin:hunter2@elsewhere:9090"},
        {"serverAddress": "http://elsewhere:9090?token=hunter2"},
        {"serverAddress": "admin:hunter2@elsewhere"},
        {"serverAddress": "http://a:hunter2@[::1"},
        {"queryParameters": "api_key=hunter2"},
        {"leadTimeFromEnv": "hunter2"},
        {"query": LEAST["query"], "queryFromEnv": "hunter2"},
    ],
)
def test_secrets_in_other_values_are_not_repeated(metadata: dict[str, str]) -> None:
    """User and password in an address, parameters, and what came from an environment stay out of messages."""
    error = refuse(**metadata)
    assert "hunter2" not in str(error)
    assert "hunter2" not in repr(error.faults)


def test_from_env_is_another_spelling() -> None:
    """Both spellings with the same value are one key; with different values they are a fault."""
    assert parse(quantile="0.95", quantileFromEnv="0.95").quantile == 0.95
    (fault,) = refuse(quantile="0.95", quantileFromEnv="0.9").faults
    assert fault.field == "quantileFromEnv"


def test_kedas_own_keys_are_ignored() -> None:
    """Keys that KEDA reads itself neither disturb nor make another trigger."""
    assert parse(**dict.fromkeys(KEDA_KEYS, "x")) == parse()


@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_a_blank_value_is_absent(blank: str) -> None:
    """As KEDA has it, under every key, also of a credential: the trigger is the same as without."""
    optional = [key.name for key in TRIGGER_KEYS if not key.required]
    written = [*optional, "customHeaders", "authModes", "leadTimeFromEnv"]
    assert parse(**dict.fromkeys(written, blank)) == parse()
    assert parse(quantile=blank, quantileFromEnv="0.95").quantile == 0.95


@pytest.mark.parametrize("key", ["query", "threshold"])
def test_a_blank_value_of_a_required_key_is_missing(key: str) -> None:
    """One fault, that the key is required."""
    (fault,) = refuse(**{key: " "}).faults
    assert (fault.field, fault.rule.startswith("is required: ")) == (key, True)


@pytest.mark.parametrize("key", RETIRED_KEYS)
def test_retired_keys_are_ignored(key: str) -> None:
    """A pasted trigger of KEDA may carry them: they neither disturb nor make another trigger."""
    assert parse(**{key: "http_requests"}) == parse()
    assert refuse(**{f"{key}s": "x"}).faults[0].field == shown_key(f"{key}s")


def test_key_of_the_state() -> None:
    """Namespace, name and what determines the answer: the spelling does not matter, each value does."""
    key = parse(leadTime="3m").key
    assert key.startswith("shop/web/")
    assert len(key) == len("shop/web/") + 12
    assert key == parse(leadTimeFromEnv=" 180s ", scalerAddress="headway:50051").key
    assert key != parse(leadTime="4m").key
    assert key != parse_trigger("shop", "api", LEAST | {"leadTime": "3m"}, RULES).key
    assert parse().key == parse(leadTime="2m").key


SERIES = {"query": "up", "serverAddress": "http://a.monitoring:9090", "namespace": "team", "queryParameters": "a=b"}
SERIES |= {"queryStep": "30s", "ignoreNullValues": "true"}
PLAN = {"threshold": "11", "leadTime": "3m", "quantile": "0.8", "policy": "aggressive", "mode": "shadow"}
PLAN |= {"model": "seasonal", "timezone": "Europe/Berlin", "activationThreshold": "1", "maxStaleness": "4m"}


@pytest.mark.parametrize(("key", "text"), SERIES.items())
def test_another_demand_has_another_history(key: str, text: str) -> None:
    """Both keys change with everything that determines the demand."""
    changed = parse(**{key: text})
    assert changed.key != parse().key
    assert changed.history_key != parse().history_key


@pytest.mark.parametrize(("key", "text"), PLAN.items())
def test_another_plan_keeps_the_history(key: str, text: str) -> None:
    """What only changes the plan is another trigger with the same history."""
    changed = parse(**{key: text})
    assert changed.key != parse().key
    assert changed.history_key == parse().history_key


OTHERS = {
    "another default server": replace(RULES, default_server="http://other:9090"),
    "another installation": replace(RULES, installation="staging"),
    "a tenant": replace(RULES, identities=(ServerIdentity("http://prometheus:9090", "team", "X-Scope-OrgID"),)),
    "a user": replace(RULES, identities=(ServerIdentity("*", username="42"),)),
    "another kind": replace(RULES, identities=(ServerIdentity("*", kind="recorded"),)),
}


@pytest.mark.parametrize("rules", OTHERS.values(), ids=OTHERS.keys())
def test_keys_follow_the_operators_settings(rules: TriggerRules) -> None:
    """Another server, tenant or installation is another state, although the trigger reads the same."""
    changed = parse_trigger("shop", "web", LEAST, rules)
    assert changed.key != parse().key
    assert changed.history_key != parse().history_key


def test_keys_do_not_follow_what_says_nothing() -> None:
    """Entries for other servers and a server without identity change nothing; nor does naming the default server."""
    others = (ServerIdentity("http://elsewhere", "team"), ServerIdentity("*", tenant_header="X-Other"))
    assert parse_trigger("shop", "web", LEAST, replace(RULES, identities=others)).key == parse().key
    assert parse(serverAddress="http://prometheus:9090/").key == parse().key


def test_only_the_first_entry_counts() -> None:
    """As with credentials."""
    first, second = ServerIdentity("*", "one", "T"), ServerIdentity("http://prometheus:9090", "two", "T")
    only, both = replace(RULES, identities=(first,)), replace(RULES, identities=(first, second))
    assert parse_trigger("shop", "web", LEAST, only).key == parse_trigger("shop", "web", LEAST, both).key


@pytest.mark.parametrize(("namespace", "name"), [("", "web"), ("shop", ""), ("a/b", "web"), ("shop", "x" * 254)])
def test_names_are_kubernetes_names(namespace: str, name: str) -> None:
    """Whoever can open the port can claim any name: it must at least be one."""
    with pytest.raises(TriggerInvalid, match="Kubernetes name"):
        parse_trigger(namespace, name, LEAST, RULES)


def test_messages_are_bounded() -> None:
    """As many wrong keys and as long values as are read give a message that fits a screen."""
    long = "x" * (LONGEST_VALUE // len(TRIGGER_KEYS))
    wrong = {key.name: long for key in TRIGGER_KEYS}
    error = refuse(**{f"key{n}": "v" for n in range(MOST_KEYS - len(wrong))}, **wrong)
    assert len(error.faults) > 2 * MOST_SPELLED_OUT
    assert len(str(error)) < 250 * (MOST_SPELLED_OUT + 1)
    assert str(error).endswith(" more")


@pytest.mark.parametrize(
    ("metadata", "shown"),
    [
        ({f"key{n}": "v" for n in range(10_000)}, "10002 keys"),
        ({"x" * 1_000_000: "v"}, "a key of 1000000 characters"),
        ({"model": "x" * 1_000_000}, "a value of 1000000 characters"),
        ({"model": "x" * 15_000, "timezone": "y" * 15_000}, "characters"),
    ],
)
def test_what_is_too_large_is_not_read(metadata: dict[str, str], shown: str) -> None:
    """One fault says which limit is exceeded; the threshold is known all the same."""
    error = refuse(**metadata)
    (fault,) = error.faults
    assert shown in fault.value
    assert error.threshold == 10
    assert refuse(**metadata, threshold="x" * 1000).threshold is None


def test_only_what_makes_the_trigger_is_relevant() -> None:
    """KEDA's own keys, retired ones and blank values are left out, and the rest makes the same trigger."""
    ignored = dict.fromkeys((*KEDA_KEYS, *RETIRED_KEYS, "serverAddressFromEnv"), "x") | {"quantile": " "}
    kept = relevant(LEAST | ignored | {"leadTimeFromEnv": "3m", "serverAddressFromEnv": ""})
    assert kept == LEAST | {"leadTimeFromEnv": "3m"}
    assert parse_trigger("shop", "web", kept, RULES).key == parse(leadTime="3m").key


names = st.sampled_from([key.name for key in TRIGGER_KEYS]) | st.text(max_size=20)
keys = st.builds(lambda name, suffix: name + suffix, names, st.sampled_from(["", "FromEnv"]))
values = st.text(max_size=60) | st.sampled_from(
    ["10", "0.9", "2m", "http://[", "http://[::1]:99999", "http://a:b", "1e999", "٣m", "\ud800", "true", "a=b,c"]
)


@given(st.text(max_size=10), st.text(max_size=10), st.dictionaries(keys, values, max_size=8))
def test_any_input_gives_a_trigger_or_its_faults(namespace: str, name: str, metadata: dict[str, str]) -> None:
    """No string, however strange, raises anything else."""
    rules = TriggerRules("", ("*",), 20)
    for given_metadata in (metadata, LEAST | metadata):
        with suppress(TriggerInvalid):
            parse_trigger("shop" if namespace else namespace, name or "web", given_metadata, rules)
