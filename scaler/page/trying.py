"""The page on which a ScaledObject is tried: a form, and what is found in it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request

from scaler.errors import Fault
from scaler.page.asking import Refused
from scaler.status.parameters import unknown
from scaler.status.requests import LARGEST_BODY, RequestRefused, body_of, fields_of, from_this_port
from scaler.status.shown import Shown
from scaler.status.tried import NotNow, TriedRoute

ENCODED = 3
"""bytes of a form for one byte of a text, at most"""
EXAMPLE = """\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: web
  namespace: shop
spec:
  scaleTargetRef:
    name: web
  minReplicaCount: 2
  maxReplicaCount: 50
  fallback:
    failureThreshold: 3
    replicas: 10
    behavior: currentReplicasIfHigher
  triggers:
    - type: external
      metadata:
        scalerAddress: dns:///headway.keda.svc.cluster.local:50051
        query: sum(rate(http_requests_total{app="web"}[1m]))
        threshold: "100"
        leadTime: 90s
    - type: cpu
      metricType: Utilization
      metadata:
        value: "80"
"""


async def try_view(route: TriedRoute, shown: Shown, request: Request) -> Mapping[str, Any]:
    """The form, with what is found in the text that was sent, or why it cannot be read."""
    if faults := unknown(request.query_params, ()):
        raise Refused(faults)
    if request.method != "POST":
        return {"manifest": EXAMPLE, "found": None, "faults": []}
    manifest = await _sent(request)
    try:
        found = await route.record(request, manifest, faults)
    except NotNow as refusal:
        raise Refused([refusal.fault], refusal.status) from None
    return {"manifest": manifest, "found": found or None, "faults": faults}


async def _sent(request: Request) -> str:
    """The text in the form. Raises RequestRefused, Refused."""
    from_this_port(request)
    try:
        body = await body_of(request, ENCODED * LARGEST_BODY + 100)
    except RequestRefused as refused:
        raise (_too_large() if refused.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else refused) from None
    manifest = fields_of(body.decode(errors="replace")).get("manifest", "")
    if len(manifest.encode(errors="replace")) > LARGEST_BODY:
        raise _too_large()
    return manifest


def _too_large() -> Refused:
    """In words of the field: encoded in the body, it is longer."""
    rule = f"must have at most {LARGEST_BODY // 1024} kB"
    return Refused([Fault("manifest", "", rule)], HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
