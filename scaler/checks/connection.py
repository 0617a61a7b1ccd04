"""Rules on how KEDA reaches the scaler: address and TLS."""

import ipaddress
from collections.abc import Iterator

from scaler.checks.finding import Context, Finding, Level
from scaler.manifest import ScaledObject, TriggerEntry
from scaler.trigger.values import veil

KEDA_TLS_KEYS = ("caCert", "tlsClientCert", "tlsClientKey", "tlsCertFile")
"""TriggerAuthentication parameters (PEM content); in metadata they do nothing"""

_HEADLESS = "dns:///headway.keda.svc.cluster.local:50051"


def uses_tls(entry: TriggerEntry, context: Context) -> bool:
    """Whether KEDA would speak TLS: enableTLS, or a TriggerAuthentication of this file that brings certificates."""
    if entry.given.get("enableTLS", "") == "true":
        return True
    reference = entry.fields.get("authenticationRef")
    name = str(reference.get("name", "")) if isinstance(reference, dict) else ""
    return not context.tls_parameters.get(name, frozenset()).isdisjoint(KEDA_TLS_KEYS)


def scaler_address(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for entry in scaled.our_triggers:
        path = (*entry.path, "metadata", "scalerAddress")
        address = entry.given.get("scalerAddress", "")
        for level, text in _address_faults(address):
            yield Finding(level, "scaler-address", text, f"Write scalerAddress: {_HEADLESS}", path)


def _address_faults(address: str) -> Iterator[tuple[Level, str]]:
    scheme, separator, rest = address.rpartition("://")
    host, _, port = rest.removeprefix("/").rpartition(":")
    if not address:
        yield Level.ERROR, "scalerAddress is missing: KEDA cannot build the scaler."
    elif scheme in ("http", "https", "grpc", "grpcs"):
        yield Level.ERROR, f"{address}: a gRPC target has no {scheme}:// in front."
    elif not port.isdigit() or not host:
        yield Level.ERROR, f"{address} has no port: gRPC then takes 443."
    elif _is_ip(host):
        yield Level.WARNING, f"{host} is one address: all of KEDA's calls stick to it, and it dies with its Service."
    elif not separator and "headless" not in host:
        yield (
            Level.WARNING,
            f"{address} may be a ClusterIP Service, which is one address: all of an operator's traffic sticks to one "
            "replica. A headless Service lets KEDA spread its calls and go on when a replica ends.",
        )


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def keda_booleans(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for entry in scaled.our_triggers:
        for key in ("enableTLS", "unsafeSsl"):
            text = entry.given.get(key, "true")
            if text not in ("true", "false"):
                yield Finding(
                    Level.ERROR,
                    "keda-fault",
                    f"{key}={veil(text)!r}: must be true or false (KEDA cannot build the trigger).",
                    f'Write {key}: "true" or "false".',
                    (*entry.path, "metadata", key),
                )


def tls_keys_in_metadata(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for entry in scaled.our_triggers:
        for key in KEDA_TLS_KEYS:
            if key in entry.given:
                yield Finding(
                    Level.ERROR,
                    "tls-keys-in-metadata",
                    f"`{key}` in metadata does nothing for KEDA's connection; it only sends us the text, and Headway "
                    "refuses unknown keys.",
                    "Put the PEM content into a Secret and name it in a TriggerAuthentication "
                    "(parameters caCert, tlsClientCert, tlsClientKey).",
                    (*entry.path, "metadata", key),
                )


def unsafe_ssl_alone(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for entry in scaled.our_triggers:
        if entry.given.get("unsafeSsl", "") != "true":
            continue
        path = (*entry.path, "metadata", "unsafeSsl")
        if uses_tls(entry, context) or entry.fields.get("authenticationRef"):
            text = "unsafeSsl accepts any certificate: any server that answers under that name sets your replicas."
            yield Finding(Level.WARNING, "unsafe-ssl", text, "Give KEDA the CA as caCert instead.", path)
        else:
            text = "unsafeSsl alone does not switch TLS on: KEDA speaks plain text."
            yield Finding(Level.WARNING, "unsafe-ssl", text, 'Add enableTLS: "true", or remove unsafeSsl.', path)
