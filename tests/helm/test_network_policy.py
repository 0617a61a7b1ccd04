"""Who reaches the pods, and whom they reach, where the chart's policies are on."""

from collections.abc import Iterator

import pytest

from tests.helm.network_policy import Peer, admits
from tests.helm.rendering import NAMESPACE, VALUES, Cluster, objects, of_kind, pod_templates, render, rendered
from tests.servers.helm import MAJORS

KEDA, PROMETHEUS, OTHER = Peer("keda"), Peer("monitoring"), Peer("shop")
OUTSIDE = Peer()


def pods(values: str) -> dict[str, Peer]:
    return {
        name: Peer(NAMESPACE, template["metadata"].get("labels") or {})
        for name, template in pod_templates(objects(rendered(values).text))
    }


def reachable(values: str) -> Iterator[tuple[str, bool]]:
    """Every connection that matters → whether the policies admit it."""
    policies = of_kind(objects(rendered(values).text), "NetworkPolicy")
    of_chart = pods(values)
    scaler = of_chart["Deployment/headway"]
    for name, peer, port in [
        ("KEDA asks", KEDA, "grpc"),
        ("others ask", OTHER, "grpc"),
        ("Prometheus scrapes", PROMETHEUS, "http"),
        ("others scrape", OTHER, "http"),
        ("Prometheus scrapes plainly", PROMETHEUS, "probes"),
        ("others scrape plainly", OTHER, "probes"),
        ("helm test", of_chart["Pod/headway-test-ready"], "http"),
    ]:
        yield name, admits(policies, scaler, "Ingress", peer, port)
    for name, peer, port, protocol in [
        ("DNS", Peer("kube-system"), 53, "UDP"),
        ("Prometheus", PROMETHEUS, 9090, "TCP"),
        ("PostgreSQL", OUTSIDE, 5432, "TCP"),
        ("Redis", OUTSIDE, 6380, "TCP"),
        ("Redis at another port", OUTSIDE, 6379, "TCP"),
        ("SSH", OUTSIDE, 22, "TCP"),
        ("API server", OUTSIDE, 6443, "TCP"),
        ("collector", Peer("tracing"), 4318, "TCP"),
        ("collector elsewhere", OUTSIDE, 4318, "TCP"),
    ]:
        yield name, admits(policies, scaler, "Egress", peer, port, protocol)
    if valkey := of_chart.get("Deployment/headway-valkey"):
        yield "scaler → Valkey", admits(policies, scaler, "Egress", valkey, 6379)
        yield "Valkey ← scaler", admits(policies, valkey, "Ingress", scaler, "redis")
        yield "Valkey ← others", admits(policies, valkey, "Ingress", OTHER, "redis")
        yield "Valkey ← same namespace", admits(policies, valkey, "Ingress", Peer(NAMESPACE), "redis")
        yield "Valkey → outside", admits(policies, valkey, "Egress", OUTSIDE, 443)
    if training := of_chart.get("CronJob/headway-training"):
        yield "training reads the triggers", admits(policies, scaler, "Ingress", training, "http")


EXPECTED = {
    "http-mtls": {"KEDA asks", "Prometheus scrapes", "Prometheus scrapes plainly", "helm test", "DNS", "Prometheus"},
    "http-tls": {"KEDA asks", "Prometheus scrapes", "helm test", "DNS", "Prometheus", "training reads the triggers"},
    "network-policy": {
        "KEDA asks", "Prometheus scrapes", "helm test", "DNS", "Prometheus", "PostgreSQL", "Redis", "collector",
    },
    "everything": {
        "KEDA asks", "Prometheus scrapes", "helm test", "DNS", "Prometheus", "PostgreSQL", "API server",
        "scaler → Valkey", "Valkey ← scaler", "training reads the triggers",
    },
}  # fmt: skip


@pytest.mark.parametrize("values", EXPECTED)
def test_only_what_is_needed_is_admitted(values: str) -> None:
    """KEDA and Prometheus come in; DNS, Prometheus, the stores and the collector are reached; nothing else."""
    assert {name for name, admitted in reachable(values) if admitted} == EXPECTED[values]


@pytest.mark.parametrize("host", ["prometheus", f"prometheus.{NAMESPACE}", f"prometheus.{NAMESPACE}.svc"])
def test_a_prometheus_in_the_release_s_namespace_is_reached(host: str) -> None:
    """By its short name, too: a policy sees its pods, whose port is not the Service's. It scrapes the scaler."""
    values = ("--values", VALUES["network-policy"], "--set", f"settings.prometheus=http://{host}")
    policies = of_kind(objects(render(MAJORS[-1], Cluster(), *values).text), "NetworkPolicy")
    scaler = pods("network-policy")["Deployment/headway"]
    assert admits(policies, scaler, "Egress", Peer(NAMESPACE), 9090, "TCP")
    assert admits(policies, scaler, "Ingress", Peer(NAMESPACE), "http")


def test_valkey_is_closed_without_the_scalers_policy() -> None:
    """Its own policy is on by default."""
    assert {name for name, admitted in reachable("valkey") if name.startswith("Valkey ") and admitted} == {
        "Valkey ← scaler"
    }
