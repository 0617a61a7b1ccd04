"""Names of objects under other names of the release."""

import re

import pytest

from tests.helm.rendering import CHART, EVERYTHING, VALUES, objects
from tests.servers.helm import run_helm

LONGEST = {"Service": 63, "CronJob": 52}
"""what Kubernetes admits; for other kinds 253. A CronJob's Jobs get eleven characters more"""


def names(release: str, namespace: str, *flags: str) -> list[tuple[str, str | None, str]]:
    apis = [f"--api-versions={api}" for api in EVERYTHING]
    rendered = run_helm(
        4, "template", release, CHART, "--namespace", namespace, "--values", VALUES["everything"], *apis, *flags
    )
    assert rendered.returncode == 0, rendered.stderr
    return [
        (manifest["kind"], manifest["metadata"].get("namespace"), manifest["metadata"]["name"])
        for manifest in objects(rendered.stdout)
    ]


@pytest.mark.parametrize(
    ("release", "flags"),
    [
        ("prod", ()),
        ("prod.eu", ()),
        ("headway.eu", ()),
        (53 * "r", ()),  # the longest that Helm takes
        ("prod", ("--set", f"fullnameOverride={60 * 'f'}")),
        ("prod", ("--set", f"nameOverride={60 * 'n'}")),
    ],
)
def test_names_are_valid_and_unique(release: str, flags: tuple[str, ...]) -> None:
    """Kubernetes takes each, also with the suffixes of the parts."""
    found = names(release, "keda", *flags)
    assert len(set(found)) == len(found)
    for kind, _, name in found:
        assert re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name), (kind, name)
        assert kind != "Service" or re.fullmatch(r"[a-z][a-z0-9-]*", name), name
        assert len(name) <= LONGEST.get(kind, 253), (kind, name)


def in_a_shared_cluster(release: str, namespace: str, *values: str) -> set[tuple[str, str | None, str]]:
    """With one KEDA for all releases, and a ClusterIssuer; kedaAuth.name is what their owners have to keep apart."""
    shared = (f"kedaAuth.name={release}-of-{namespace}", "tls.certManager.issuerRef.name=ca", *values)
    kind = ("--set", "tls.certManager.issuerRef.kind=ClusterIssuer")
    return set(names(release, namespace, "--set", ",".join(shared), *kind))


def test_two_releases_share_no_object() -> None:
    """Of the same name in two namespaces, of two names in one, and where namespace and name together read the same."""
    places = [("headway", "one"), ("headway", "two"), ("a-headway", "one"), ("headway", "one-a")]
    found = [in_a_shared_cluster(*place) for place in places]
    assert len(set().union(*found)) == sum(map(len, found))


@pytest.mark.parametrize("namespace", ["*", "shop"])
def test_two_releases_may_watch_the_same_namespaces(namespace: str) -> None:
    """Their roles and bindings differ."""
    values = f"discovery.enabled=true,discovery.namespaces={{{namespace}}}"
    assert not in_a_shared_cluster("headway", "one", values) & in_a_shared_cluster("headway", "two", values)
