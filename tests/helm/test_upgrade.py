"""An installation of an earlier version can be upgraded with the values that it has."""

import pytest
import yaml

from tests.helm.previous import immutable_fields, immutable_file, values_file, versions
from tests.helm.rendering import Cluster, objects, render
from tests.servers.helm import MAJORS

every_version = pytest.mark.parametrize("version", versions())


@every_version
@pytest.mark.parametrize("major", MAJORS)
def test_values_of_an_earlier_version_render(version: str, major: int) -> None:
    """Also all of them, as `helm upgrade --reuse-values` passes them."""
    assert render(major, Cluster(), "--values", values_file(version)).error == ""


@every_version
def test_upgrade_changes_no_field_that_it_may_not(version: str) -> None:
    """Names, selectors and claims stay as they are: Kubernetes refuses to change them."""
    now = immutable_fields(objects(render(MAJORS[-1], Cluster(), "--values", values_file(version)).text))
    assert yaml.safe_load(immutable_file(version).read_text()) == now


def test_there_is_an_earlier_version() -> None:
    """Or nothing above would have been tested."""
    assert "0.1.0" in versions()
