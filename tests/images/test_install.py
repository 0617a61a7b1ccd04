"""The runtime image as far as it can be run without a container engine: installed from its lock by the steps of its
Dockerfile, then run as another user on a read-only tree with an empty environment."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from scaler.commands.check.keda_client import KedaClient, OurTrigger
from tests.images.installed import Installed, health_check, installed, serving
from tests.servers.otlp import receiving
from tests.servers.process import until
from tests.servers.prometheus import Recorded, prometheus
from tools.lock import ROOT

pytestmark = [pytest.mark.server, pytest.mark.e2e]

MOST_MEGABYTES = 300


@pytest.fixture(scope="module")
def image() -> Iterator[Installed]:
    with installed() as made:
        yield made


def test_it_is_complete_and_small(image: Installed, record_property):
    """No package misses another one, though pip resolved nothing; and the size is within its target."""
    check = [image.tools / "bin" / "python", "-m", "pip", "--python", image.python, "check"]
    result = subprocess.run(check, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    record_property("installed_mb", round(image.megabytes))
    assert image.megabytes < MOST_MEGABYTES


def test_it_has_no_package_manager_and_nothing_to_build_with(image: Installed):
    """Only `headway` and the interpreter can be started; pip, setuptools and headers are absent."""
    assert {path.name for path in (image.tree / "bin").iterdir()} - {"headway", "python", "python3"} == {
        path.name for path in (image.tree / "bin").glob("python3.*")
    }
    (site,) = image.tree.glob("lib/python3*/site-packages")
    assert [name for name in ("pip", "setuptools", "wheel", "_distutils_hack") if (site / name).exists()] == []
    assert list(image.tree.rglob("*.h")) == []
    assert list(image.tree.rglob("tests")) == []


def test_every_module_is_compiled(image: Installed):
    """Nothing can be compiled at the start: the tree cannot be written."""
    (site,) = image.tree.glob("lib/python3*/site-packages")
    modules = [path for path in site.rglob("*.py") if "__pycache__" not in path.parts]
    bare = [path for path in modules if not list((path.parent / "__pycache__").glob(f"{path.stem}.cpython-*.pyc"))]
    assert bare == []


def test_its_user_cannot_write_to_it(image: Installed):
    result = image.as_user(image.python, "-c", f"print('starts'); open({str(image.tree / 'new')!r}, 'w')")
    assert result.stdout == "starts\n"
    assert "PermissionError" in result.stderr


def test_it_answers_keda_drains_and_leaves_no_trace(image: Installed, tmp_path: Path):
    """KEDA's three calls, with a forecast behind them; the health check; SIGTERM; the tree is as before."""
    before = listing(image.tree)
    begin = time.time() // 60 * 60 - 6 * 3600
    saw_tooth = [(begin + i * 60, 100.0 + i % 60) for i in range(7 * 60)]
    trigger = OurTrigger(0, "shop", "web", {"query": "demand", "threshold": "10", "leadTime": "1h"})
    with prometheus(tmp_path / "prometheus", [Recorded("demand", saw_tooth)]) as server:
        with serving(image, tmp_path / "log", "--prometheus", server.url) as scaler:
            with KedaClient(scaler.grpc_address) as keda:
                assert keda.metric_spec(trigger, "hpa").number == 10
                # the top of the saw-tooth comes within any hour: only a forecast answers it at once
                until(lambda: (keda.metrics(trigger, "headway", "poll").number or 0) > 155)
                assert keda.is_active(trigger, "poll").number == 1
            port = scaler.http_address.rpartition(":")[2]
            until(lambda: httpx.get(f"http://{scaler.http_address}/readyz").status_code == 200)
            assert image.as_user(image.python, *health_check(port)).returncode == 0
            scaler.process.terminate()
            assert scaler.process.wait(30) == 0
        assert image.as_user(image.python, *health_check(port)).returncode == 1
    assert listing(image.tree) == before
    assert (image.data / "headway.db").exists()


def test_it_sends_traces(image: Installed, tmp_path: Path):
    """`traces-endpoint` needs no other image."""
    with receiving() as receiver, serving(image, tmp_path / "log", "--traces-endpoint", receiver.address) as scaler:
        httpx.get(f"http://{scaler.http_address}/livez")
        until(lambda: receiver.named("http request") != [])
    assert receiver.services == {"headway"}


def test_the_demo_service_runs_on_its_packages(image: Installed):
    """The local stack and the kind cluster start deploy/demo in this image."""
    demo = image.data / "demo"
    shutil.copytree(ROOT / "deploy" / "demo", demo, ignore=shutil.ignore_patterns("__pycache__"))
    program = f"import sys; sys.path.insert(0, {str(demo)!r}); import service, past_demand"
    assert image.as_user(image.python, "-c", program).stderr == ""


def listing(folder: Path) -> set[tuple[str, int]]:
    return {(str(path), os.lstat(path).st_mtime_ns) for path in folder.rglob("*")}
