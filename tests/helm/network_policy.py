"""What NetworkPolicies admit: a small model of what a network plugin enforces.

https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Peer:
    """A pod, or an address outside of the cluster where `namespace` is empty."""

    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def admits(
    policies: Iterable[Mapping[str, Any]],
    pod: Peer,
    direction: Literal["Ingress", "Egress"],
    peer: Peer,
    port: int | str,
    protocol: str = "TCP",
) -> bool:
    """Whether `pod` may talk with `peer` in this direction. Everything may where no policy selects the pod."""
    selecting = [policy for policy in policies if _selects(policy, pod, direction)]
    if not selecting:
        return True
    peers_field, rules_field = ("from", "ingress") if direction == "Ingress" else ("to", "egress")
    return any(
        _peer_matches(rule.get(peers_field), policy["metadata"]["namespace"], peer)
        and _port_matches(rule.get("ports"), port, protocol)
        for policy in selecting
        for rule in policy["spec"].get(rules_field) or ()
    )


def _selects(policy: Mapping[str, Any], pod: Peer, direction: str) -> bool:
    return (
        policy["metadata"]["namespace"] == pod.namespace
        and direction in policy["spec"]["policyTypes"]
        and _labels_match(policy["spec"]["podSelector"], pod.labels)
    )


def _peer_matches(allowed: list[Any] | None, policy_namespace: str, peer: Peer) -> bool:
    if not allowed:
        return True
    return any(_one_peer_matches(one, policy_namespace, peer) for one in allowed)


def _one_peer_matches(allowed: Mapping[str, Any], policy_namespace: str, peer: Peer) -> bool:
    if "ipBlock" in allowed:
        return not peer.namespace
    if not peer.namespace:
        return False
    if (namespaces := allowed.get("namespaceSelector")) is None:
        in_namespace = peer.namespace == policy_namespace
    else:
        in_namespace = _labels_match(namespaces, {"kubernetes.io/metadata.name": peer.namespace})
    return in_namespace and _labels_match(allowed.get("podSelector") or {}, peer.labels)


def _port_matches(allowed: list[Any] | None, port: int | str, protocol: str) -> bool:
    return not allowed or any(
        one.get("port") in (None, port) and one.get("protocol", "TCP") == protocol for one in allowed
    )


def _labels_match(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "the chart has no expressions"
    return (selector.get("matchLabels") or {}).items() <= labels.items()
