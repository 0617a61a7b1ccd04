"""Every value set renders, with Helm 3 and 4, in every version of Kubernetes, with and without the CRDs, to manifests
that the API server takes as they are."""

import difflib
import itertools

import pytest

from tests.helm.golden import FOLDER, golden_file, without_files
from tests.helm.pod_security import violations
from tests.helm.rendering import (
    APIS,
    CHART,
    CLUSTERS,
    EVERYTHING,
    VALUES,
    Cluster,
    objects,
    pod_templates,
    render_all,
    rendered,
)
from tests.helm.schemas import faults
from tests.servers.helm import MAJORS, run_helm

NEWEST = Cluster()
every_value_set = pytest.mark.parametrize("values", VALUES)
every_helm = pytest.mark.parametrize("major", MAJORS)


@pytest.fixture(scope="module", autouse=True)
def _in_parallel() -> None:
    """Helm 4 in all clusters; Helm 3 in the newest, where it must print the same."""
    render_all(
        [
            *((values, MAJORS[-1], cluster) for values, cluster in itertools.product(VALUES, CLUSTERS)),
            *((values, major, NEWEST) for values, major in itertools.product(VALUES, MAJORS[:-1])),
        ]
    )


@every_value_set
def test_manifests_are_valid(values: str) -> None:
    """In every cluster: no unknown key, no missing field, no kind that the cluster lacks, no object twice."""
    for cluster in clusters_that_can(values):
        result = rendered(values, cluster=cluster)
        assert result.error == "", cluster
        manifests = objects(result.text)
        assert [fault for manifest in manifests for fault in faults(manifest, cluster.kubernetes)] == [], cluster
        names = [(manifest["kind"], manifest["metadata"].get("namespace"), manifest["metadata"]["name"])
                 for manifest in manifests]  # fmt: skip
        assert len(set(names)) == len(names), cluster


@every_value_set
def test_what_the_cluster_lacks_is_named(values: str) -> None:
    """Where the CRDs are missing that the values need, the error names each, and what to do."""
    for cluster in set(CLUSTERS) - set(clusters_that_can(values)):
        error = rendered(values, cluster=cluster).error
        for api in custom_apis(values) - set(APIS[cluster.apis]):
            assert f"the cluster has no {api}; install" in error


def clusters_that_can(values: str) -> list[Cluster]:
    return [cluster for cluster in CLUSTERS if custom_apis(values) <= set(APIS[cluster.apis])]


def custom_apis(values: str) -> set[str]:
    """The APIs of CRDs in which these values have objects."""
    return {manifest["apiVersion"] for manifest in objects(rendered(values).text)} & set(EVERYTHING)


@every_value_set
def test_helm_3_and_4_agree(values: str) -> None:
    """Both print the same manifests."""
    assert rendered(values, MAJORS[0]) == rendered(values, MAJORS[-1])


@every_value_set
def test_rendered_chart_is_the_golden_file(values: str) -> None:
    """A change of the manifests is one that somebody has looked at."""
    before = golden_file(values).read_text() if golden_file(values).exists() else ""
    after = without_files(rendered(values).text)
    difference = difflib.unified_diff(before.splitlines(), after.splitlines(), "golden", "rendered", lineterm="")
    assert before == after, "\n".join(["`make golden` writes the golden files anew:", *difference])


def test_no_golden_file_is_left_over() -> None:
    """Each belongs to a value set."""
    assert {path.stem for path in FOLDER.iterdir()} == set(VALUES)


@every_helm
@every_value_set
def test_lint_is_content(values: str, major: int) -> None:
    """`helm lint --strict` finds nothing in the chart with these values."""
    linted = run_helm(major, "lint", "--strict", CHART, "--values", VALUES[values])
    assert linted.returncode == 0, linted.stdout + linted.stderr


@every_value_set
def test_pods_keep_the_restricted_standard(values: str) -> None:
    """Every pod runs in a namespace that enforces Pod Security "restricted", on a read-only root."""
    templates = list(pod_templates(objects(rendered(values).text)))
    assert templates
    for name, template in templates:
        assert violations(template) == [], name
        for container in template["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}, name
