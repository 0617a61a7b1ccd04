"""Grafana dashboards of Headway, built with Grafana's SDK for Python.

panels.py has what panels share; workload.py, fleet.py and system.py build one dashboard each. `python -m tools.generate
dashboards` writes them to helm/headway/files/dashboards/, from where the chart renders them as ConfigMaps. To use one
without the chart, import the JSON file in Grafana.
"""

from collections.abc import Callable

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana import fleet, system, workload

FOLDER = "helm/headway/files/dashboards"

DASHBOARDS: dict[str, Callable[[], Dashboard]] = {
    "headway-workload": workload.build,
    "headway-fleet": fleet.build,
    "headway-system": system.build,
}
"""uid of each dashboard, and the function that builds it"""


def written(uid: str) -> str:
    """The dashboard as JSON, the same bytes every time."""
    return JSONEncoder(sort_keys=True, indent=2).encode(DASHBOARDS[uid]()) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    f"{FOLDER}/{uid}.json": (lambda uid=uid: written(uid))  # type: ignore[misc]
    for uid in DASHBOARDS
}
"""what `tools.generate` writes"""
