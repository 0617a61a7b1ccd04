"""Where the API server is: the settings, or the cluster in which the process runs."""

from pathlib import Path

import pytest

from scaler.discovery.place import ApiServer, api_server
from scaler.settings import SettingsInvalid, load_settings

CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("t")
    (tmp_path / "ca.crt").write_text("c")
    return tmp_path


def test_in_a_cluster_the_service_account_counts(mounted: Path) -> None:
    found = api_server(load_settings({"discover_namespaces": "*"}), CLUSTER, mounted)
    assert found == ApiServer("https://10.0.0.1:6443", mounted / "token", mounted / "ca.crt")


def test_an_address_of_ip_version_6(mounted: Path) -> None:
    found = api_server(load_settings({"discover_namespaces": "*"}), {"KUBERNETES_SERVICE_HOST": "fd00::1"}, mounted)
    assert found.url == "https://[fd00::1]:443"


def test_elsewhere_the_settings_name_it() -> None:
    """No token of a cluster is sent there."""
    settings = load_settings({"discover_namespaces": "shop", "kubernetes_api": "http://127.0.0.1:8001"})
    assert api_server(settings, CLUSTER) == ApiServer("http://127.0.0.1:8001", None, None)


def test_outside_of_a_cluster_the_start_says_what_to_set() -> None:
    with pytest.raises(SettingsInvalid, match="kubectl proxy"):
        api_server(load_settings({"discover_namespaces": "shop"}), {})


def test_a_service_account_that_is_not_mounted_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="automountServiceAccountToken: true"):
        api_server(load_settings({"discover_namespaces": "shop"}), CLUSTER, tmp_path)
