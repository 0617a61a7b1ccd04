"""The validators themselves find what they are for."""

from typing import Any

import pytest
import yaml

from tests.helm.pod_security import violations
from tests.helm.schemas import faults

MANIFESTS = [
    ("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 1}]}}", []),
    (
        "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {prots: []}}",
        ["Service/a: spec: Additional properties are not allowed ('prots' was unexpected)"],
    ),
    (
        "{apiVersion: policy/v1beta1, kind: PodDisruptionBudget, metadata: {name: a}}",
        ["PodDisruptionBudget/a: Kubernetes 1.33 has no PodDisruptionBudget in policy/v1beta1"],
    ),
    (
        "{apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor, metadata: {name: a}, spec: {selector: {},"
        " endpoints: [{port: http, honorLabels: true, intervall: 15s}]}}",
        ["ServiceMonitor/a: spec.endpoints[0].intervall is unknown"],
    ),
    (
        "{apiVersion: keda.sh/v1alpha1, kind: ClusterTriggerAuthentication, metadata: {name: a},"
        " spec: {secretTargetRef: [{parameter: caCert, name: s}]}}",
        ["ClusterTriggerAuthentication/a: spec.secretTargetRef.0.key: Field required"],
    ),
    (
        "{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {name: a}, spec: {secretName: s,"
        " issuerRef: {name: i}, dnsnames: [a]}}",
        ["Certificate/a: spec.dnsnames is unknown"],
    ),
]


@pytest.mark.parametrize(("manifest", "expected"), MANIFESTS)
def test_unknown_keys_and_missing_fields_are_faults(manifest: str, expected: list[str]) -> None:
    """For Kubernetes' own kinds and for custom ones."""
    assert faults(yaml.safe_load(manifest), "1.33") == expected


RESTRICTED: dict[str, Any] = {
    "spec": {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {"name": "c", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
        ],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }
}


def test_restricted_pods_are_known() -> None:
    """A pod that keeps the standard, and one that breaks each rule."""
    assert violations(RESTRICTED) == []
    open_pod = {
        "spec": {
            "hostNetwork": True,
            "hostPID": True,
            "hostIPC": True,
            "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
            "securityContext": {"sysctls": [{"name": "kernel.msgmax"}], "seLinuxOptions": {"user": "u"}},
            "initContainers": [{"name": "i", "securityContext": {"runAsUser": 0, "privileged": True}}],
            "containers": [
                {
                    "name": "c",
                    "ports": [{"hostPort": 1}],
                    "securityContext": {"procMount": "Unmasked", "capabilities": {"add": ["SYS_ADMIN"]}},
                }
            ],
        }
    }
    assert len(violations(open_pod)) == 6 + 6 + 7
