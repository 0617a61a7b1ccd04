"""Grafana dashboards of Headway, built with Grafana's SDK for Python.

panels.py has what panels share; each other module builds one dashboard. `python -m tools.generate
dashboards` writes them to helm/headway/files/dashboards/, from where the chart renders them as ConfigMaps. To use one
without the chart, import the JSON file in Grafana. demo.py builds one for the local stack alone.
"""

from collections.abc import Callable
from functools import partial

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana import demo, fleet, quality, slo, system, workload, worth

FOLDER = "helm/headway/files/dashboards"
DEMO = "deploy/compose/grafana/dashboards/headway-demo.json"

DASHBOARDS: dict[str, Callable[[], Dashboard]] = {
    "headway-workload": workload.build,
    "headway-fleet": fleet.build,
    "headway-quality": quality.build,
    "headway-worth": worth.build,
    "headway-slo": slo.build,
    "headway-system": system.build,
}
"""uid of each dashboard, and the function that builds it"""


def written(build: Callable[[], Dashboard]) -> str:
    """The dashboard as JSON, the same bytes every time."""
    return JSONEncoder(sort_keys=True, indent=2).encode(build()) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    **{f"{FOLDER}/{uid}.json": partial(written, build) for uid, build in DASHBOARDS.items()},
    DEMO: partial(written, demo.build),
}
"""what `tools.generate` writes"""
