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
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name), (kind, name)
        assert len(name) <= LONGEST.get(kind, 253), (kind, name)


def test_two_releases_share_no_cluster_wide_object() -> None:
    """Of the same name in two namespaces, with a name for KEDA's authentication, which every namespace can see."""
    first, second = (
        set(names("headway", namespace, "--set", f"kedaNamespace={namespace},kedaAuth.name=headway-{namespace}"))
        for namespace in ("one", "two")
    )
    assert first & second == set()
