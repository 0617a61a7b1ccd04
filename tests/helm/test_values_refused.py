"""Values that are wrong, or contradict each other: refused, with the value and what to write instead."""

import pytest

from scaler.trigger.server_address import chosen_by_tenants, is_pattern
from tests.helm.rendering import CHART, NAMESPACE, RELEASE, Cluster, render
from tests.servers.helm import MAJORS, run_helm

HERE = Cluster()
NO_CRDS = Cluster(apis="none")
TLS = "tls.enabled=true,tls.existingSecret=headway-tls"
ISSUED = "tls.enabled=true,tls.certManager.enabled=true"

CONTRADICTIONS = {
    "service.grpcPort=8080": "service.grpcPort: 8080 is the container's port for HTTP; write another, as 50051",
    "settings.redis=redis://r": "settings.redis: the chart sets it; write redis.existingSecret, redis.url or",
    "settings.tls-cert=/a": "settings.tls-cert: the chart sets it; write tls.existingSecret or tls.certManager",
    "settings.data-dir=/a": "settings.data-dir: the chart sets it; write persistence",
    "extraEnv[0].name=HEADWAY_GRPC_ADDRESS": "extraEnv HEADWAY_GRPC_ADDRESS: the chart sets it; write service.grpcPort",
    "settings.prometheus-ca-file=/etc/headway/credentials/mimir/ca.crt": "no entry of credentials is named mimir; add",
    "credentials[0].name=a,credentials[0].secretName=b,credentials[1].name=a,credentials[1].secretName=c": (
        "two entries are named a; give each its own name"
    ),
    "settings.redis-signing-key-file=/a": "settings.redis-signing-key-file: the chart sets it; write redis.signingKey",
    "settings.allow-server-address[0]=http://prometheus.\\{ns\\}:9090": "is no pattern; write SCHEME://HOST[:PORT][/PATH]",
    "settings.allow-server-address[0]=http://prometheus.*:9090": "lets a * stand for any namespace, which a tenant",
    "redis.signingKey.existingSecret=a": "redis.signingKey.existingSecret: signs what replicas share, and there is no",
    "redis.url=redis://redis,redis.existingSecret=a": "redis.url: not together with redis.existingSecret",
    "redis.url=redis://:secret@redis": "redis.url: contains a password",
    "database.url=postgresql://headway:secret@db/headway": "database.url: contains a password",
    "database.url=postgresql://db/headway,database.existingSecret=a": "database.url: not together with",
    "valkey.enabled=true": "valkey: needs a password; write valkey.existingSecret (with the key password) or",
    "valkey.enabled=true,valkey.password=a,redis.existingSecret=b": "valkey.enabled: not together with redis",
    "valkey.enabled=true,valkey.password=a,valkey.existingSecret=b": "valkey.password: not together with",
    "persistence.enabled=true": "write replicaCount: 1, or persistence.enabled: false and database.existingSecret",
    "persistence.enabled=true,replicaCount=1,database.existingSecret=a": "persistence.enabled: with a database",
    "bundle.url=s3://a,bundle.existingClaim=b": "bundle.url: not together with bundle.existingClaim",
    "bundle.claim.create=true,bundle.existingClaim=b": "bundle.claim.create: not together with",
    "bundle.path=current": "bundle.path: is a folder in a claim; write bundle.existingClaim",
    "tls.enabled=true,kedaAuth.enabled=false": "tls.enabled: needs a certificate; write tls.existingSecret or",
    "tls.existingSecret=a": "tls.enabled: is false, but a certificate is set; write tls.enabled: true",
    f"{ISSUED},tls.existingSecret=a": "tls.existingSecret: not together with tls.certManager.enabled",
    TLS: "kedaAuth.existingSecret: name the Secret with ca.crt, tls.crt and tls.key",
    f"{TLS},kedaAuth.existingSecret=a,kedaAuth.kind=TriggerAuthentication": "kedaAuth.namespaces: a TriggerAuth",
    f"{TLS},kedaAuth.existingSecret=a,kedaAuth.namespaces[0]=shop": "kedaAuth.namespaces: a ClusterTrigger",
    "http.tls=tls": 'http.tls: tls needs a certificate; write tls.enabled: true, or http.tls: "off"',
    f"{ISSUED},tls.clientAuth=false,http.tls=mtls": "http.tls: mtls needs the authority of the clients; write",
    "http.probePort=50051": "http.probePort: 50051 is another port of the container; write another, as 8081",
    "http.probePort=9000,service.httpPort=9000": "http.probePort: 9000 is service.httpPort",
    "settings.http-writes=token": "settings.http-writes: token needs the token that lets clients write; write",
    "networkPolicy.enabled=true,extraEnv[0].name=HEADWAY_TRACES_ENDPOINT,extraEnv[0].value=http://c:4318": (
        "extraEnv HEADWAY_TRACES_ENDPOINT: the network policy would block it"
    ),
    "networkPolicy.enabled=true,settings.traces-endpoint=https://otel.example.com,"
    "networkPolicy.egress.tracesPorts[0]=4318": "networkPolicy.egress.tracesPorts: lacks 443, the port of settings.tr",
    "settings.http-tls=tls": "settings.http-tls: the chart sets it; write http.tls",
    "settings.http-token-file=/a": "settings.http-token-file: the chart sets it; write http.token.existingSecret",
    "settings.probe-address=0.0.0.0:1": "settings.probe-address: the chart sets it; write http.probePort",
    f"{ISSUED},http.tls=mtls,training.enabled=true,bundle.claim.create=true": "training.enabled: its job reads the",
    "serviceMonitor.tlsConfig.serverName=a": "serviceMonitor.tlsConfig: Prometheus scrapes without TLS here; remove it",
    f"{ISSUED},http.tls=mtls,serviceMonitor.enabled=true": "serviceMonitor.tlsConfig: Prometheus needs a client cert",
    f"{ISSUED},http.tls=tls,serviceMonitor.enabled=true,serviceMonitor.namespace=monitoring": (
        "serviceMonitor.tlsConfig: the Secret with the authority is not in the namespace monitoring; write a ca"
    ),
    f"{ISSUED},http.tls=mtls,scrapeAnnotations.enabled=true": "scrapeAnnotations.enabled: annotations name no client",
    f"{ISSUED},kedaNamespace=keda-system": "name a ClusterIssuer, or write kedaAuth.existingSecret",
    f"{ISSUED},kedaAuth.kind=TriggerAuthentication,kedaAuth.namespaces[0]=shop": "can issue KEDA's certificate in shop",
    "discovery.enabled=true,discovery.namespaces=null": "discovery.namespaces: is empty; list the namespaces",
    "discovery.enabled=true,discovery.namespaces[0]=*,discovery.namespaces[1]=shop": '"*" is all of them; write it',
    "discovery.enabled=true,serviceAccount.create=false": "write serviceAccount.create: true or serviceAccount.name",
    "training.enabled=true": "training.destination: is empty; write the URL of an object store",
    "training.enabled=true,training.destination=s3://a,bundle.claim.create=true": "training.destination: not together",
    "training.enabled=true,bundle.url=https://models/a": "training.destination: nothing can be written to an http",
    "training.enabled=true,training.destination=s3://a,settings.prometheus=": "reads demand from settings.prometheus",
}
"""what `--set` gets → a part of the message"""


@pytest.mark.parametrize("values", CONTRADICTIONS)
def test_contradiction_is_refused(values: str) -> None:
    """One fault, in one line, that names the value and what to write."""
    error = render(MAJORS[-1], HERE, "--set", values).error
    assert "1 fault in the values of headway:" in error, error
    assert CONTRADICTIONS[values] in error
    assert "secret@" not in error


SERVER_PATTERNS = (
    "*", "http://*:9090", "http://prometheus-*", "http://*.monitoring:9090", "http://*.monitoring.svc.cluster.local",
    "https://*.metrics.example.com/tenants/*/prom", "https://mimir.*.example.com", "http://10.0.0.*:*",
    "http://prometheus.{namespace}:9090", "http://[::1]:9090", "http://prometheus.*", "http://*.*", "*://p.*.svc",
    "http://prometheus.*.svc:9090/path", "http://prometheus.*.SVC.cluster.local.", "http://p.*.s?c.example.com",
    "http://prometheus.*.*.example.com", "http://10-0-0-1.*.pod.cluster.local", "http://p.?:80", "http://p.a*/x.y",
    "prometheus:9090", "http://a:9*", "http://{namespace", "http://a b", "ftp://a", "http://p.example.com/*",
)  # fmt: skip


@pytest.mark.parametrize("pattern", SERVER_PATTERNS)
def test_the_chart_refuses_the_server_patterns_that_the_program_does(pattern: str) -> None:
    """At `helm install`, not in a pod that ends at its start."""
    literal = pattern.replace("{", "\\{").replace("}", "\\}").replace("[", "\\[").replace("]", "\\]")
    error = render(MAJORS[-1], HERE, "--set-string", f"settings.allow-server-address[0]={literal}").error
    program = "" if is_pattern(pattern) and not chosen_by_tenants(pattern) else "1 fault in the values of headway:"
    assert (program in error, bool(program)) == (True, bool(error)), error


def test_a_release_that_no_service_can_be_named_after_is_refused() -> None:
    """Helm takes names that begin with a digit."""
    error = run_helm(MAJORS[-1], "template", "1st", CHART).stderr
    assert "the name 1st-headway cannot be that of a Service" in error
    assert "write fullnameOverride: h1st-headway" in error


@pytest.mark.parametrize("major", MAJORS)
def test_every_contradiction_at_once(major: int) -> None:
    """One try shows all of them."""
    error = render(major, HERE, "--set", "persistence.enabled=true,training.enabled=true,bundle.path=a").error
    assert "3 faults in the values of headway:" in error
    assert [line.split(":")[0] for line in error.splitlines() if line.startswith("  ")] == [
        "  persistence.enabled",
        "  bundle.path",
        "  training.destination",
    ]


WITHOUT_CRDS = {
    "serviceMonitor.enabled=true": ("serviceMonitor.enabled", "monitoring.coreos.com/v1", "the Prometheus operator"),
    "prometheusRule.enabled=true": ("prometheusRule.enabled", "monitoring.coreos.com/v1", "the Prometheus operator"),
    f"{ISSUED},kedaAuth.enabled=false": ("tls.certManager.enabled", "cert-manager.io/v1", "cert-manager"),
    f"{TLS},kedaAuth.existingSecret=a": ("kedaAuth.enabled", "keda.sh/v1alpha1", "KEDA"),
}


@pytest.mark.parametrize("values", WITHOUT_CRDS)
def test_missing_crds_are_named(values: str) -> None:
    """With what to install; a tool that does not know the cluster can go on without them."""
    value, api, product = WITHOUT_CRDS[values]
    error = render(MAJORS[-1], NO_CRDS, "--set", values).error
    assert f"{value}: the cluster has no {api}; install {product} first, or write {value}: false" in error
    assert render(MAJORS[-1], NO_CRDS, "--set", f"{values},requireCRDs=false").error == ""


UNKNOWN_OR_MALFORMED = {
    "extraEnv[0].name=A,extraEnv[0].value=5": "value",
    "image.tag=1 0": "tag",
    "image.repository=headway image": "repository",
    "fullnameOverride=9a": "fullnameOverride",
    "nameOverride=Head_way": "nameOverride",
    "serviceAccount.name=a: b": "name",
    "tls.certManager.issuerRef.name=a b": "name",
    "redis.existingSecret=Cache": "existingSecret",
    "redis.key=a/b": "key",
    "clusterDomain=": "clusterDomain",
    "replicas=3": "replicas",
    "image.tags=1": "tags",
    "settings.refresh-intervall=15s": "refresh-intervall",
    "settings.refresh-interval=15": "refresh-interval",
    "settings.log-level=loud": "log-level",
    "settings.inference-threads=0": "inference-threads",
    "settings.servers[0].patern=a": "patern",
    "settings.triggers[0].name=a": "namespace",
    "replicaCount=0": "replicaCount",
    "image.digest=latest": "digest",
    "image.pullPolicy=Sometimes": "Always",
    "topologySpread.hosts=maybe": "ScheduleAnyway",
    "valkey.password=a@b": "password",
    "training.schedule=weekly": "schedule",
    "training.since=4 weeks": "since",
    "kedaAuth.kind=Secret": "ClusterTriggerAuthentication",
    "persistence.size=lots": "size",
    "resources.request.cpu=1": "request",
    "tls.secretName=a": "secretName",
    "networkPolicy.egress.ports[0]=1": "ports",
    "networkPolicy.egress.tracesPorts[0]=70000": "tracesPorts",
    "credentials[0].name=A/b,credentials[0].secretName=c": "credentials",
    "credentials[0].name=a,credentials[0].secretName=b,credentials[0].key=c": "key",
    "podDisruptionBudget.maxUnavailable=one": "maxUnavailable",
    "discovery.enabled=yes": "enabled",
    "discovery.namespaces[0]=Shop": "namespaces",
    "serviceMonitor.interval=15": "interval",
    "service.grpcPort=70000": "grpcPort",
    "http.tls=on": "tls",
    "http.probePort=70000": "probePort",
    "http.token.key=a/b": "key",
    "http.allowedHosts[0]=a:80": "allowedHosts",
    "commonLabels.a=1": "commonLabels",
}


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("values", UNKNOWN_OR_MALFORMED)
def test_schema_refuses(values: str, major: int) -> None:
    """Unknown and malformed values, with their name."""
    error = render(major, HERE, "--set", values).error
    assert "values don't meet the specifications of the schema(s)" in error, error
    assert UNKNOWN_OR_MALFORMED[values] in error


@pytest.mark.parametrize("major", MAJORS)
def test_kubernetes_too_old(major: int) -> None:
    """Helm names both versions."""
    error = render(major, Cluster("1.26")).error
    assert "chart requires kubeVersion: >=1.27.0-0 which is incompatible with Kubernetes v1.26" in error


@pytest.mark.parametrize("major", MAJORS)
def test_chart_as_a_dependency(major: int) -> None:
    """Helm gives `global` to every subchart; the schema admits it."""
    assert render(major, HERE, "--set", "global.team=platform").error == ""


NOTES = {
    "": [
        "2 replicas have no shared Redis",
        "Set database.existingSecret",
        "can call the gRPC port",
        "can read queries and servers of all teams",
        "Nothing scrapes Headway",
        "KEDA is not installed",
    ],
    "replicaCount=1,persistence.enabled=true,networkPolicy.enabled=true,scrapeAnnotations.enabled=true": [
        "One replica: while it restarts",
        "KEDA is not installed",
    ],
    "redis.existingSecret=a,database.existingSecret=b,settings.prometheus=,networkPolicy.enabled=true,"
    "scrapeAnnotations.enabled=true": ["No server is allowed", "KEDA is not installed"],
    "redis.existingSecret=a,database.existingSecret=b,networkPolicy.enabled=true,serviceMonitor.enabled=true,"
    "requireCRDs=false": ["kube-prometheus-stack takes only objects with its release's label", "KEDA is not installed"],
}


@pytest.mark.parametrize("values", NOTES)
def test_notes_name_what_is_missing(values: str) -> None:
    """After the commands to type next: what a production installation lacks, and nothing else.

    Helm 3 asks a cluster even for that.
    """
    dry = ("install", RELEASE, CHART, "--namespace", NAMESPACE, "--dry-run=client", "--set", values)
    printed = run_helm(MAJORS[-1], *dry)
    assert printed.returncode == 0, printed.stderr
    notes = printed.stdout.partition("NOTES:")[2]
    assert "kubectl -n keda rollout status deployment/headway" in notes
    assert "scalerAddress: dns:///headway.keda.svc.cluster.local:50051" in notes
    warnings = [line for line in notes.splitlines() if line.startswith("  * ")]
    assert len(warnings) == len(NOTES[values])
    for warning, part in zip(warnings, NOTES[values], strict=True):
        assert part in warning
