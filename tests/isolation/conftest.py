"""One real Prometheus, Redis and PostgreSQL for the modules of this folder."""

from collections.abc import Iterator

import pytest

from tests.servers.front import Front, front
from tests.servers.postgres import PostgresServer, postgres_server
from tests.servers.prometheus import PrometheusServer, prometheus
from tests.servers.redis import RedisServer, redis_server


@pytest.fixture(scope="session")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """A Prometheus without series: tests ask for `vector(1000)` and the like."""
    with prometheus(tmp_path_factory.mktemp("isolation") / "prometheus") as server:
        yield server


@pytest.fixture
def before_metrics(metrics: PrometheusServer) -> Iterator[Front]:
    """A front of that Prometheus, with rules of the test's own."""
    with front(metrics.url) as state:
        yield state


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server
