"""values.yaml, its schema and its templates against the scaler that they configure."""

import jsonschema
import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from scaler import __version__
from scaler.cli import app
from scaler.settings.fields import Settings
from scaler.settings.rules import written
from tests.helm.rendering import CHART, NAMESPACE, Cluster, objects, of_kind, render
from tests.servers.helm import MAJORS
from tools.chart_schema import chart_schema, own_settings
from tools.chart_values import every, read_values
from tools.reference import SETTINGS

SCHEMA = chart_schema()
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())


def rendered(*sets: str) -> list[dict]:
    result = render(MAJORS[-1], Cluster(), *(part for one in sets for part in ("--set", one)))
    assert result.error == ""
    return objects(result.text)


def scaler_deployment(*sets: str) -> dict:
    [deployment] = [one for one in of_kind(rendered(*sets), "Deployment") if one["metadata"]["name"] == "headway"]
    return deployment


def test_version_is_the_scalers():
    """The chart installs the scaler that it comes with."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
    images = yaml.safe_load(chart["annotations"]["artifacthub.io/images"])
    assert {image["image"].rpartition(":")[2] for image in images} == {__version__}


def test_every_value_is_described():
    """Each leaf has a comment that the README and the schema show."""
    values = read_values((CHART / "values.yaml").read_text())
    assert all(value.description for value in every(values) if not value.children)
    with pytest.raises(ValueError, match=r"image\.tag"):
        read_values('image:\n  # no description\n  tag: ""\n')


def test_every_setting_is_in_the_schema_or_decided_by_the_chart():
    """No setting is forgotten, and none that does not exist is promised."""
    settings = set(map(written, Settings.model_fields))
    assert set(SCHEMA["properties"]["settings"]["properties"]) == settings | set(own_settings())
    assert set(own_settings()) - settings <= {"discover-namespaces"}


def test_settings_of_the_docs_are_accepted():
    """The example of docs/settings.md, as it is."""
    [example] = [part.partition("```")[0] for part in SETTINGS.split("```yaml\n")[1:]]
    jsonschema.validate(DEFAULTS | {"settings": yaml.safe_load(example)}, SCHEMA)


@pytest.mark.parametrize(
    ("grace", "seconds"), [(None, 30), ("45s", 65), ("1m30s", 110), ("1.5s", 22), ("250ms", 21), ("1h", 3620)]
)
def test_pod_outlives_the_drain(grace, seconds):
    """terminationGracePeriodSeconds is drain-grace and 20 s."""
    deployment = scaler_deployment(*([f"settings.drain-grace={grace}"] if grace else []))
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == seconds


def test_null_removes_what_is_optional():
    """Limits, users and labels can be removed; what the templates look into cannot, and Helm names it."""
    pod = scaler_deployment("resources.limits=null", "podSecurityContext.runAsUser=null")["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"].keys() == {"requests"}
    assert "runAsUser" not in pod["securityContext"]
    assert "resources" not in scaler_deployment("resources=null")["spec"]["template"]["spec"]["containers"][0]
    for value in ("settings", "image", "tls.certManager", "networkPolicy.egress"):
        error = render(MAJORS[-1], Cluster(), "--set", f"{value}=null").error
        assert f"missing property '{value.rpartition('.')[2]}'" in error


def test_large_numbers_stay_whole(tmp_path):
    """Helm reads a number of a file as a float, and would print a million as 1e+06."""
    (tmp_path / "values.yaml").write_text("minReadySeconds: 1000000\nsettings: {max-triggers: 2000000}\n")
    text = render(MAJORS[-1], Cluster(), "--values", tmp_path / "values.yaml").text
    assert "minReadySeconds: 1000000\n" in text
    assert "max-triggers: 2000000\n" in text


def test_names_that_look_like_numbers_stay_text():
    """A Secret may be called 007, a key yes: quoted where YAML would read something else."""
    result = render(MAJORS[-1], Cluster(), "--set-string", "redis.existingSecret=007,redis.key=yes,kedaNamespace=1e3",
                    "--set", "networkPolicy.enabled=true")  # fmt: skip
    manifests = objects(result.text)
    [deployment] = of_kind(manifests, "Deployment")
    [_, variable] = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    assert variable["valueFrom"]["secretKeyRef"] == {"name": "007", "key": "yes"}
    [policy] = of_kind(manifests, "NetworkPolicy")
    [peer] = policy["spec"]["ingress"][0]["from"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "1e3"}


def test_change_of_settings_rolls_the_pods():
    """Settings and the password of the bundled Valkey; nothing else."""

    def annotations(*sets):
        return scaler_deployment(*sets)["spec"]["template"]["metadata"]["annotations"]

    valkey = "valkey.enabled=true"
    assert annotations() == annotations("serviceMonitor.enabled=true")
    assert annotations() != annotations("settings.log-level=debug")
    assert annotations(valkey, "valkey.password=a") != annotations(valkey, "valkey.password=b")


def test_unforeseen_labels_do_not_break_selectors():
    """Labels of people never replace those by which objects find each other."""
    deployment = scaler_deployment(
        "commonLabels.app\\.kubernetes\\.io/name=x", "podLabels.app\\.kubernetes\\.io/name=y"
    )
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize(
    ("address", "namespace", "port"),
    [
        ("http://prometheus.monitoring.svc.cluster.local:9090", "monitoring", None),
        ("http://prometheus-server.obs", "obs", None),
        ("http://thanos.obs.svc:9090/select", "obs", None),
        ("https://mimir.example.com/prometheus", None, 443),
        ("http://10.0.0.7:9090", None, 9090),
        ("https://mimir.*.example.com:8443", None, 8443),
    ],
)
def test_network_policy_follows_the_servers(address, namespace, port):
    """A server in the cluster by its namespace, since a policy sees the pods' port; any other by its port."""
    sets = ["networkPolicy.enabled=true", f"settings.allow-server-address[0]={address}", "settings.prometheus="]
    [policy] = of_kind(rendered(*sets), "NetworkPolicy")
    dns, rule = policy["spec"]["egress"]
    assert {one["port"] for one in dns["ports"]} == {53}
    if namespace:
        selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
        assert rule == {"to": [selector]}
    else:
        assert rule == {"ports": [{"port": port, "protocol": "TCP"}]}


def test_network_policy_admits_a_name_without_a_dot():
    """A Service beside the scaler, by its pods; or a host of the nodes' own domain, by its port."""
    sets = ["networkPolicy.enabled=true", "settings.prometheus=http://prometheus:9090"]
    [policy] = of_kind(rendered(*sets), "NetworkPolicy")
    _, service, host = policy["spec"]["egress"]
    assert service["to"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": NAMESPACE}
    assert host == {"ports": [{"port": 9090, "protocol": "TCP"}]}


def test_network_policy_admits_what_may_be_a_service_or_a_site():
    """`https://example.com` reads like a Service and its namespace: both are admitted."""
    sets = ["networkPolicy.enabled=true", "settings.prometheus=https://example.com"]
    [policy] = of_kind(rendered(*sets), "NetworkPolicy")
    _, _, rule = policy["spec"]["egress"]
    assert rule == {"ports": [{"port": 443, "protocol": "TCP"}]}


ENDPOINT, PORTS = "settings.traces-endpoint", "networkPolicy.egress.tracesPorts"
COLLECTOR = f"{ENDPOINT}=http://otel-collector.tracing.svc:4318"
OF_NAMESPACE = {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tracing"}}}]}


def of_ports(*ports):
    return {"ports": [{"port": port, "protocol": "TCP"} for port in ports]}


@pytest.mark.parametrize(
    ("values", "rules"),
    [
        ([], []),
        ([COLLECTOR], [OF_NAMESPACE]),
        ([f"{ENDPOINT}=HTTPS://otel.example.com/v1/traces"], [of_ports(443)]),
        ([f"{ENDPOINT}=http://[fd00::7]:4318"], [of_ports(4318)]),
        ([COLLECTOR, f"{PORTS}={{4319,4318}}"], [of_ports(4319, 4318)]),
        ([f"{ENDPOINT}=http://10.0.0.7:4318", f"{PORTS}={{4318}}"], [of_ports(4318)]),
        (["extraEnv[0].name=HEADWAY_TRACES_ENDPOINT", f"{PORTS}={{4318}}"], [of_ports(4318)]),
    ],
)
def test_network_policy_follows_the_collector(values, rules):
    """Traces reach the collector of `traces-endpoint`, or the ports that a value names; else no rule is added."""
    [policy] = of_kind(rendered("networkPolicy.enabled=true", "settings.prometheus=", *values), "NetworkPolicy")
    assert policy["spec"]["egress"][1:] == rules


def test_commands_of_the_training_job_exist():
    """Each step is a command of ours with flags that it has; the first reads the settings that are mounted."""
    sets = ("training.enabled=true", "bundle.claim.create=true", "training.extraArgs={--timezone,Europe/Berlin}")
    [job] = of_kind(rendered(*sets), "CronJob")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    steps = [container["args"] for container in (*pod["initContainers"], *pod["containers"])]
    pull, train, publish = map(parsed, steps)
    assert pull["config"] == "/etc/headway/settings/headway.yaml"
    assert pull["scaler"] == "http://headway-http:8080"
    assert train["data"] == [pull["out"]]
    assert (publish["folder"], publish["destination"]) == (train["out"], "/bundle")


def parsed(arguments: list[str]) -> dict:
    """What the command line makes of them. Raises click's UsageError for a flag that it does not have."""
    command, context = get_command(app), None
    while isinstance(command, TyperGroup):
        context = command.make_context(arguments[0], [arguments[0]], parent=context, resilient_parsing=True)
        name, command, arguments = command.resolve_command(context, arguments)
    return command.make_context(name, list(arguments), parent=context).params
