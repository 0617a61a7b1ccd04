"""The Pod Security Standard "restricted" of Kubernetes, with what it takes over from "baseline".

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from collections.abc import Iterator
from typing import Any

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_SYSCTLS = {"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
            "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
            "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
            "net.ipv4.tcp_keepalive_probes"}  # fmt: skip
_SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(template: dict[str, Any]) -> list[str]:
    """What in a pod template a namespace that enforces "restricted" would refuse."""
    pod = template["spec"]
    return [*_of_pod(pod), *(fault for container in containers(pod) for fault in _of_container(container, pod))]


def containers(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from pod.get(field) or ()


def _of_pod(pod: dict[str, Any]) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield f"{field} is set"
    for volume in pod.get("volumes") or ():
        if kinds := set(volume) - {"name"} - _VOLUMES:
            yield f"volume {volume['name']} is of the kind {', '.join(kinds)}"
    context = pod.get("securityContext") or {}
    for sysctl in context.get("sysctls") or ():
        if sysctl["name"] not in _SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    if context.get("seLinuxOptions"):
        yield "seLinuxOptions of the pod"


def _of_container(container: dict[str, Any], pod: dict[str, Any]) -> Iterator[str]:
    name, own, shared = container["name"], container.get("securityContext") or {}, pod.get("securityContext") or {}
    both = {**shared, **own}
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation must be false"
    if own.get("privileged"):
        yield f"{name}: privileged"
    if both.get("runAsNonRoot") is not True:
        yield f"{name}: runAsNonRoot must be true"
    if both.get("runAsUser") == 0:
        yield f"{name}: runAsUser is root"
    if (both.get("seccompProfile") or {}).get("type") not in _SECCOMP:
        yield f"{name}: seccompProfile.type must be one of {sorted(_SECCOMP)}"
    capabilities = own.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()):
        yield f"{name}: capabilities.drop must have ALL"
    if set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
        yield f"{name}: capabilities.add"
    if own.get("procMount", "Default") != "Default":
        yield f"{name}: procMount"
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield f"{name}: hostPort"
