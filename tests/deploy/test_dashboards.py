"""The dashboards: well-formed, and every query has data on a real Prometheus that scrapes a real scaler."""

import asyncio
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations
from pathlib import Path
from typing import Any

import httpx
import promql_parser as promql
import pytest
import trustme

from deploy.grafana import DASHBOARDS, DEMO, FOLDER
from deploy.grafana.quality import ERROR_BY_LEAD, coverage_by_lead
from scaler.commands.check.keda_client import KedaClient, OurTrigger, ScalerTls
from scaler.refresh.lead_scores import LeadSummary
from scaler.refresh.scoring import Scoring
from scaler.status.exposition import exposition
from scaler.telemetry.figure import Kind
from scaler.telemetry.figures import FIGURES
from scaler.telemetry.metrics import Telemetry
from tests.e2e.scaler_process import ScalerProcess, scaler_running
from tests.servers.kubernetes import kubernetes_api, scaled_object
from tests.servers.prometheus import PrometheusServer, Recorded, prometheus
from tests.servers.redis import redis_server
from tests.servers.serving import serving
from tests.status.registry import NOW, filled_registry
from tests.status.scores import scored

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / FOLDER).glob("*.json"))
COLUMNS = 24
UNITS = {"short", "s", "bytes", "percentunit", "reqps"}
"""what panels may use, of Grafana's units (grafana.com: packages/grafana-data/src/valueFormats/categories.ts)"""
FOREIGN = {
    *("process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds"),
    "kube_horizontalpodautoscaler_status_current_replicas",
}
"""figures of prometheus_client and of kube-state-metrics"""
SUFFIXES = {Kind.HISTOGRAM: ("_bucket", "_sum", "_count"), Kind.GAUGE: ("",), Kind.COUNTER: ("",)}
EXPORTED = {figure.name + suffix for figure in FIGURES for suffix in SUFFIXES[figure.kind]}

files = pytest.mark.parametrize("path", [*FILES, ROOT / DEMO], ids=lambda path: path.stem)


def loaded(path: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(path.read_text())
    return made


def panels(path: Path) -> list[dict[str, Any]]:
    """Every panel that is no row."""
    every = loaded(path)["panels"]
    assert not [inner for row in every for inner in row.get("panels", [])], "panels in a row are looked at by no test"
    return [panel for panel in every if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """(dashboard: panel, expression)."""
    for path in FILES:
        for panel in panels(path):
            for target in panel.get("targets", []):
                yield f"{path.stem}: {panel['title']} {target['refId']}", target["expr"]


def test_every_dashboard_has_its_file() -> None:
    """What is built is what the chart renders, under the name of its uid."""
    assert {path.stem for path in FILES} == set(DASHBOARDS)
    assert {loaded(path)["uid"] for path in FILES} == set(DASHBOARDS)


@files
def test_panels_are_described_and_have_units(path: Path) -> None:
    """A reader learns from each panel what it shows."""
    shown = [panel for panel in panels(path) if panel["type"] != "text"]
    assert len({panel["id"] for panel in loaded(path)["panels"]}) == len(loaded(path)["panels"])
    assert len({panel["title"] for panel in shown}) == len(shown)
    assert not [panel["title"] for panel in shown if not panel["description"].endswith(".")]
    assert {panel["fieldConfig"]["defaults"].get("unit", "short") for panel in shown} <= UNITS
    overridden = [value for panel in shown for one in panel["fieldConfig"]["overrides"] for value in one["properties"]]
    assert {value["value"] for value in overridden if value["id"] == "unit"} <= UNITS
    assert {panel["datasource"]["uid"] for panel in shown} == {"${datasource}"}


@files
def test_panels_do_not_overlap(path: Path) -> None:
    """Each panel has its place on the grid of 24 columns, and no line of it is left half empty."""
    places = [panel["gridPos"] for panel in loaded(path)["panels"]]
    assert all(place["w"] > 0 and place["x"] + place["w"] <= COLUMNS for place in places)
    overlapping = [
        (one, other)
        for one, other in combinations(places, 2)
        if one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    ]
    assert overlapping == []
    widths: dict[int, int] = {}
    for place in places:
        widths[place["y"]] = widths.get(place["y"], 0) + place["w"]
    assert set(widths.values()) == {COLUMNS}


@files
def test_links_lead_to_dashboards(path: Path) -> None:
    """A link to a dashboard names one of ours, and only variables that it has."""
    for uid, arguments in re.findall(r'/d/([\w-]+)/[\w-]+\?([^"]*)', path.read_text()):
        target = ROOT / FOLDER / f"{uid}.json"
        variables = {variable["name"] for variable in loaded(target)["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", arguments)) <= variables


@pytest.mark.parametrize(("place", "expr"), list(queries()))
def test_queries_read_what_is_exported(place: str, expr: str) -> None:
    """Each expression parses, and reads figures of Headway or the few foreign ones."""
    promql.parse(expr.replace("$__range", "1h"))
    words = set(re.findall(r"\b(?:headway|process|kube)_\w+", re.sub(r'"[^"]*"|\{[^}]*\}', "", expr)))
    assert words
    assert words <= EXPORTED | FOREIGN


def test_a_dashboard_fits_into_a_configmap() -> None:
    """A ConfigMap holds 1 MiB; and nothing in the files looks like a template of Helm's to a person."""
    assert all(path.stat().st_size < 200_000 for path in FILES)


SCORED = ("forecast_skill", "forecast_error", "forecast_bias")
DEMAND = {"query": "demand", "threshold": "10"}
FAULTY = {"query": "several", "threshold": "10"}
YOUNG = {"query": "young", "threshold": "10"}
SCORES = (
    *(f"headway_{name}_ratio" for name in ("peak_coverage", *SCORED)),
    *("headway_promised_coverage", "headway_lead_"),
)
STATE = (
    'kube_horizontalpodautoscaler_status_current_replicas{namespace="shop",horizontalpodautoscaler="keda-hpa-web"} 7\n'
)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PrometheusServer, KedaClient]]:
    """A Prometheus that scrapes a scaler with a good, a faulty and a young workload; and kube-state-metrics' figure."""
    folder = tmp_path_factory.mktemp("dashboards")
    with ExitStack() as stack:
        source = stack.enter_context(prometheus(folder / "source", recorded()))
        redis = stack.enter_context(redis_server())
        api = stack.enter_context(kubernetes_api())
        api.put(scaled_object(name="found", query="demand"))
        authority = written_certificates(folder)
        options = (
            *("--prometheus", source.url, "--redis", redis.url, "--refresh-interval", "5s"),
            *("--discover-namespaces", "shop", "--kubernetes-api", api.url),
            *("--allow-server-address", "http://prometheus:9090"),
            *("--tls-cert", str(folder / "tls.crt"), "--tls-key", str(folder / "tls.key")),
        )
        scaler = stack.enter_context(scaler_running(folder, *options))
        keda = stack.enter_context(KedaClient(scaler.grpc_address, ScalerTls(ca_cert=authority)))
        state = stack.enter_context(served(folder / "state", STATE + scored_text()))
        watching = stack.enter_context(prometheus(folder / "watching", (), scraping(scaler, state)))
        yield watching, keda


def recorded() -> list[Recorded]:
    """Hours of demand; two series under one name; ten minutes of demand."""
    now = time.time()
    steps = [now + 15 * step for step in range(-960, 80)]
    return [
        Recorded("demand", [(moment, 100.0) for moment in steps]),
        Recorded("several", [(moment, 1.0) for moment in steps], {"pod": "a"}),
        Recorded("several", [(moment, 2.0) for moment in steps], {"pod": "b"}),
        Recorded("young", [(moment, 5.0) for moment in steps if moment > now - 600]),
    ]


def scored_text() -> str:
    """What a replica that has scored shop/web for days exports of that: a scaler would need minutes for the first."""
    registry = filled_registry()
    next(one for one in registry if one.trigger.name == "web").scores = scored

    telemetry, scoring = Telemetry(), Scoring()
    scoring.add("web")
    scoring.resume("web", 0, scored().sums_BF)

    async def lines() -> list[str]:
        async def turn() -> None: ...

        summed = LeadSummary(scoring, telemetry).update(NOW)
        assert summed is not None
        await summed
        pieces = [piece.decode() async for piece in exposition(telemetry, registry, NOW, turn)]
        return [line for line in "".join(pieces).splitlines(keepends=True) if line.startswith(SCORES)]

    return "".join(asyncio.run(lines()))


def written_certificates(folder: Path) -> bytes:
    """The scaler's certificate and key as files; returns the authority."""
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    (folder / "tls.crt").write_bytes(made.cert_chain_pems[0].bytes())
    (folder / "tls.key").write_bytes(made.private_key_pem.bytes())
    return authority.cert_pem.bytes()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def served(folder: Path, metrics: str) -> AbstractContextManager[ThreadingHTTPServer]:
    """An HTTP server with the file `metrics`."""
    folder.mkdir()
    (folder / "metrics").write_text(metrics)
    handler = partial(Quiet, directory=str(folder))
    return serving(ThreadingHTTPServer(("127.0.0.1", 0), handler))


def scraping(scaler: ScalerProcess, state: ThreadingHTTPServer) -> str:
    targets: Mapping[str, object] = {"headway": scaler.http_address, "state": f"127.0.0.1:{state.server_port}"}
    jobs = [
        {"job_name": job, "honor_labels": True, "static_configs": [{"targets": [target]}]}
        for job, target in targets.items()
    ]
    return json.dumps({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs})


def call(keda: KedaClient) -> None:
    """One cycle of KEDA for each workload."""
    for name, metadata in {"web": DEMAND, "faulty": FAULTY, "young": YOUNG}.items():
        trigger = OurTrigger(0, "shop", name, metadata)
        keda.metric_spec(trigger, "poll")
        keda.metrics(trigger, "headway", "poll")
        keda.is_active(trigger, "poll")


@pytest.mark.server
@pytest.mark.e2e
def test_every_panel_has_data(live: tuple[PrometheusServer, KedaClient]) -> None:
    """Every query of every dashboard returns something on a running system, its variables being replaced."""
    server, keda = live
    missing = dict(queries())
    deadline = time.monotonic() + 60
    while missing and time.monotonic() < deadline:
        call(keda)
        if offered := asked(server, 'headway_plan_rung{namespace="shop", name="web"}'):
            variables = {label: offered[0]["metric"][label] for label in ("namespace", "name", "trigger")}
            missing = {place: expr for place, expr in missing.items() if not asked(server, replaced(expr, variables))}
        time.sleep(0.5)
    assert missing == {}


@pytest.mark.server
def test_replicas_count_by_their_triggers_in_scores_by_lead(tmp_path: Path) -> None:
    """One with 30 triggers, one with 10, and one of which no trigger has a number."""
    now = time.time()
    exported = [
        ("scored_triggers", {"a": 30, "b": 10, "c": 60}, {}),
        ("error_ratio", {"a": 0.1, "b": 0.3}, {}),
        ("coverage_ratio", {"a": 0.9, "b": 0.5, "c": 1.0}, {"level": "0.9"}),
        ("coverage_ratio", {"a": 0.1, "b": 0.1, "c": 0.1}, {"level": "0.5"}),
    ]
    series = [
        Recorded(f"headway_lead_{name}", [(now, value)], {"lead": "5 min", "instance": replica, **labels})
        for name, values, labels in exported
        for replica, value in values.items()
    ]
    with prometheus(tmp_path, series) as server:
        means = [asked(server, expr)[0] for expr in (ERROR_BY_LEAD, coverage_by_lead("0.9"))]
    assert [mean["metric"] for mean in means] == [{"lead": "5 min"}, {"lead": "5 min"}]
    assert [float(mean["value"][1]) for mean in means] == pytest.approx([0.15, 0.92])


def replaced(expr: str, variables: Mapping[str, str]) -> str:
    expr = expr.replace("$__range", "1h")
    for name, value in variables.items():
        expr = re.sub(rf"\$(?:{name}\b|{{{name}}})", value, expr)
    assert "$" not in expr
    return expr


def asked(server: PrometheusServer, expr: str) -> list[dict[str, Any]]:
    reply = httpx.get(f"{server.url}/api/v1/query", params={"query": expr}, timeout=5).json()
    assert reply["status"] == "success", (expr, reply)
    found: list[dict[str, Any]] = reply["data"]["result"]
    return [one for one in found if one["value"][1] != "NaN"]
