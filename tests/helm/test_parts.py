"""The optional parts of the chart do what their switch says."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from scaler.settings.redis_url import check_redis_url
from tests.helm.rendering import CHART, NAMESPACE, of_kind
from tests.helm.workload import container_of, manifests_of, scaler_of, settings_text


def named(manifests: list[dict[str, Any]], kind: str, name: str) -> Any:
    [manifest] = [manifest for manifest in of_kind(manifests, kind) if manifest["metadata"]["name"] == name]
    return manifest


@pytest.mark.parametrize("values", ["mtls-cert-manager", "mtls-issuer", "everything"])
def test_certificate_names_the_host_that_keda_calls(values: str) -> None:
    """All spellings of the headless Service's name, on a certificate for servers; KEDA's is one for clients."""
    manifests = manifests_of(values)
    [service] = [service for service in of_kind(manifests, "Service") if service["spec"].get("clusterIP") == "None"]
    name = service["metadata"]["name"]
    server = named(manifests, "Certificate", f"{name}-tls")["spec"]
    hosts = [name, f"{name}.{NAMESPACE}", f"{name}.{NAMESPACE}.svc", f"{name}.{NAMESPACE}.svc.cluster.local"]
    assert set(hosts) <= set(server["dnsNames"])
    assert "server auth" in server["usages"]
    clients = [certificate["spec"] for certificate in of_kind(manifests, "Certificate")
               if "client auth" in certificate["spec"].get("usages", ())]  # fmt: skip
    assert clients
    for issued in (server, *clients):
        assert issued["privateKey"].get("rotationPolicy") == "Always"


AUTHENTICATIONS = {
    "tls-secret": ("ClusterTriggerAuthentication", {None}, {"caCert"}),
    "mtls-secret": ("TriggerAuthentication", {"shop", "search"}, {"caCert", "tlsClientCert", "tlsClientKey"}),
    "mtls-cert-manager": ("ClusterTriggerAuthentication", {None}, {"caCert", "tlsClientCert", "tlsClientKey"}),
    "mtls-issuer": ("TriggerAuthentication", {"shop", "search"}, {"caCert", "tlsClientCert", "tlsClientKey"}),
}


@pytest.mark.parametrize("values", AUTHENTICATIONS)
def test_keda_gets_what_the_server_asks_for(values: str) -> None:
    """The authentication has the authority, and for mTLS the client's certificate, from Secrets that exist where KEDA
    looks for them: in its own namespace, or in the trigger's."""
    kind, namespaces, parameters = AUTHENTICATIONS[values]
    manifests = manifests_of(values)
    authentications = of_kind(manifests, kind)
    assert {authentication["metadata"].get("namespace") for authentication in authentications} == namespaces
    given = yaml.safe_load((CHART.parents[1] / "tests" / "helm" / "values" / f"{values}.yaml").read_text())
    for authentication in authentications:
        references = authentication["spec"]["secretTargetRef"]
        assert {reference["parameter"] for reference in references} == parameters
        where = authentication["metadata"].get("namespace", "keda")
        issued = {(certificate["metadata"]["namespace"], certificate["spec"]["secretName"])
                  for certificate in of_kind(manifests, "Certificate")}  # fmt: skip
        for reference in references:
            assert (where, reference["name"]) in issued or reference["name"] == given["kedaAuth"]["existingSecret"]


@pytest.mark.parametrize(
    ("values", "namespaces"), [("discovery-all", None), ("discovery-namespaces", {"shop", "search"})]
)
def test_discovery_reads_where_it_looks(values: str, namespaces: set[str] | None) -> None:
    """Roles in the chosen namespaces, or one cluster role; each bound to the scaler's service account."""
    manifests = manifests_of(values)
    account = scaler_of(manifests)["spec"]["template"]["spec"]["serviceAccountName"]
    roles, bindings = ("Role", "RoleBinding") if namespaces else ("ClusterRole", "ClusterRoleBinding")
    assert {role["metadata"].get("namespace") for role in of_kind(manifests, roles)} == (namespaces or {None})
    for binding in of_kind(manifests, bindings):
        role = named(
            [one for one in manifests if one["metadata"].get("namespace") == binding["metadata"].get("namespace")],
            binding["roleRef"]["kind"], binding["roleRef"]["name"],
        )  # fmt: skip
        assert role["kind"] == roles
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}]


def test_prometheus_operator_finds_the_scaler() -> None:
    """The ServiceMonitor selects the HTTP Service alone, by its port's name, and keeps the scaler's own labels."""
    manifests = manifests_of("monitoring")
    [monitor] = of_kind(manifests, "ServiceMonitor")
    selector = monitor["spec"]["selector"]["matchLabels"]
    selected = [service for service in of_kind(manifests, "Service")
                if selector.items() <= service["metadata"]["labels"].items()]  # fmt: skip
    [endpoint] = monitor["spec"]["endpoints"]
    ports = [port["name"] for service in selected for port in service["spec"]["ports"]]
    assert ports.count(endpoint["port"]) == 1
    assert endpoint["honorLabels"] is True
    assert endpoint.get("path", "/metrics") == "/metrics"


def test_rules_are_those_of_the_files() -> None:
    """The PrometheusRule has every group of the rule files, to the letter."""
    groups = [
        group for rule in of_kind(manifests_of("monitoring"), "PrometheusRule") for group in rule["spec"]["groups"]
    ]
    files = [yaml.safe_load(path.read_text()) for path in sorted((CHART / "files" / "rules").glob("*.yaml"))]
    assert groups == [group for file in files for group in file["groups"]]


def test_dashboards_are_those_of_the_files() -> None:
    """Each dashboard is a ConfigMap that Grafana's sidecar finds, with valid JSON."""
    maps = [one for one in of_kind(manifests_of("monitoring"), "ConfigMap")
            if one["metadata"]["labels"].get("grafana_dashboard") == "1"]  # fmt: skip
    rendered_files = {name: json.loads(text) for one in maps for name, text in one["data"].items()}
    files = {path.name: json.loads(path.read_text()) for path in (CHART / "files" / "dashboards").glob("*.json")}
    assert rendered_files == files


def test_annotations_lead_prometheus_to_the_http_port() -> None:
    """Without an operator: the annotations name the container's HTTP port."""
    template = scaler_of(manifests_of("scrape-annotations"))["spec"]["template"]
    annotations = template["metadata"]["annotations"]
    [port] = [port["containerPort"] for port in template["spec"]["containers"][0]["ports"] if port["name"] == "http"]
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/port"] == str(port)
    assert annotations.get("prometheus.io/path", "/metrics") == "/metrics"


@pytest.mark.parametrize("values", ["trial", "valkey"])
def test_scaler_reaches_the_valkey_of_the_release(values: str) -> None:
    """Its URL leads to the Service and port of the Valkey, with the password of the same Secret."""
    manifests = manifests_of(values)
    variables = {variable["name"]: variable for variable in container_of(scaler_of(manifests))["env"]}
    url = variables["HEADWAY_REDIS"]["value"]
    [service] = [one for one in of_kind(manifests, "Service")
                 if one["metadata"]["labels"]["app.kubernetes.io/component"] == "valkey"]  # fmt: skip
    [port] = service["spec"]["ports"]
    assert url == f"redis://:$(VALKEY_PASSWORD)@{service['metadata']['name']}:{port['port']}/0"
    check_redis_url(url.replace("$(VALKEY_PASSWORD)", "secret"))
    names = list(variables)
    assert names.index("VALKEY_PASSWORD") < names.index("HEADWAY_REDIS")  # only earlier ones are put in
    [valkey] = [one for one in of_kind(manifests, "Deployment")
                if one["metadata"]["labels"]["app.kubernetes.io/component"] == "valkey"]  # fmt: skip
    [password] = [one for one in container_of(valkey)["env"] if one["name"] == "VALKEY_PASSWORD"]
    assert password == variables["VALKEY_PASSWORD"]


def test_one_replica_keeps_its_volume() -> None:
    """A pod with a ReadWriteOnce volume is stopped before its successor starts, and its claim outlives the release."""
    manifests = manifests_of("single")
    assert scaler_of(manifests)["spec"]["strategy"] == {"type": "Recreate"}
    assert not of_kind(manifests, "PodDisruptionBudget")
    [claim] = of_kind(manifests, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert not of_kind(manifests_of("single-existing-claim"), "PersistentVolumeClaim")


def test_settings_roll_the_pods() -> None:
    """Other settings, other checksum; other labels of objects, the same."""
    sums = {values: checksum(values) for values in ("default", "shared", "monitoring")}
    assert sums["default"] != sums["shared"]
    assert sums["default"] == sums["monitoring"]


def checksum(values: str) -> str:
    template = scaler_of(manifests_of(values))["spec"]["template"]
    return str(template["metadata"]["annotations"]["checksum/settings"])


def test_upgrade_never_lacks_a_replica() -> None:
    """A new replica is ready before an old one goes, and KEDA has time to find it."""
    spec = scaler_of(manifests_of("default"))["spec"]
    assert spec["replicas"] >= 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert spec["minReadySeconds"] > 30  # KEDA looks for new addresses at most every 30 s


def test_training_writes_where_the_scaler_reads() -> None:
    """The same claim, in the same place; the scaler's is read-only. Or the same address."""
    manifests = manifests_of("training-claim")
    [job] = of_kind(manifests, "CronJob")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    settings = yaml.safe_load(settings_text(manifests))
    [publish] = pod["containers"]
    target = settings["bundle"]
    assert target in publish["args"]
    scaler = scaler_of(manifests)["spec"]["template"]["spec"]
    assert claim_at(pod, publish, target) == claim_at(scaler, container_of(scaler_of(manifests)), target)
    assert mount_at(container_of(scaler_of(manifests)), target)["readOnly"] is True
    assert not mount_at(publish, target).get("readOnly", False)
    manifests = manifests_of("bundle-url")
    [job] = of_kind(manifests, "CronJob")
    assert (
        yaml.safe_load(settings_text(manifests))["bundle"]
        in job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"]
    )


def mount_at(container: Any, path: str) -> Any:
    [mount] = [mount for mount in container["volumeMounts"] if Path(path).is_relative_to(mount["mountPath"])]
    return mount


def claim_at(pod: Any, container: Any, path: str) -> str:
    mount = mount_at(container, path)
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == mount["name"]]
    return str(volume["persistentVolumeClaim"]["claimName"])
