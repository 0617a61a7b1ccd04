"""Telemetry of the quotas."""

from collections import ChainMap
from collections.abc import Callable, Sequence

from scaler.quotas import Quota
from scaler.telemetry.metrics import Telemetry, Values


def follow_quotas(telemetry: Telemetry, quotas: Sequence[Quota], max_connections: int) -> None:
    """Export limits, use and refusals. gRPC says of connections neither how many are open nor how many it refused."""
    limit: Values = {("connections",): float(max_connections)}
    telemetry.follow("quota_limit", _all([lambda: limit, *(quota.limit for quota in quotas)]))
    telemetry.follow("quota_used", _all([quota.used for quota in quotas]))
    telemetry.follow("quota_refused", _all([quota.refused for quota in quotas]))


def _all(reads: Sequence[Callable[[], Values]]) -> Callable[[], Values]:
    return lambda: ChainMap(*(dict(read()) for read in reads))
