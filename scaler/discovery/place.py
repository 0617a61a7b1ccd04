"""Where the Kubernetes API is, and the files with which Headway authenticates."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scaler.errors import Fault
from scaler.settings import Settings, SettingsInvalid

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""what the kubelet mounts into every pod, unless automountServiceAccountToken is false"""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """An API server. Without a CA file, the system's authorities count."""

    url: str
    token_file: Path | None
    ca_file: Path | None


def api_server(settings: Settings, environment: Mapping[str, str], mounted: Path = SERVICE_ACCOUNT) -> ApiServer:
    """The API server of the settings, or of the cluster in which this process runs. Raises SettingsInvalid."""
    token, ca = settings.kubernetes_token_file, settings.kubernetes_ca_file
    if settings.kubernetes_api:
        return ApiServer(settings.kubernetes_api, token, ca)
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        rule = (
            "needs a Kubernetes API, and this process runs in no cluster (KUBERNETES_SERVICE_HOST is not set): set "
            "kubernetes-api, as http://127.0.0.1:8001 of `kubectl proxy`"
        )
        raise SettingsInvalid((Fault("discover-namespaces", ", ".join(settings.discover_namespaces), rule),))
    shown = f"[{host}]" if ":" in host else host
    return ApiServer(
        f"https://{shown}:{port}", token or _mounted(mounted / "token"), ca or _mounted(mounted / "ca.crt")
    )


def _mounted(path: Path) -> Path:
    if path.is_file():
        return path
    rule = (
        "is not mounted: set automountServiceAccountToken: true in the pod, or name the files with "
        "kubernetes-token-file and kubernetes-ca-file"
    )
    raise SettingsInvalid((Fault("discover-namespaces", str(path), rule),))
