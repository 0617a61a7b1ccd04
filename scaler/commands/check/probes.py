"""What `headway check` asks the outside world: the query at Prometheus, and KEDA's calls at a running scaler."""

import asyncio
import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from scaler.commands.check.keda_client import Call, KedaClient, OurTrigger, ScalerTls, keda_calls
from scaler.errors import DependencyError, SourceUnavailable
from scaler.forecast.steps import find_step
from scaler.history import MetricSource, observe_all
from scaler.history.answers import Partial
from scaler.manifest import ScaledObject
from scaler.plan.hpa import Hpa, average_value, milli
from scaler.series import DAY_MINUTES
from scaler.trigger import Trigger


@dataclass(frozen=True, slots=True)
class Asked:
    """What a trigger's query returned. `demand` is None where it failed or was not tried; `error` says why."""

    trigger: int
    server: str
    query: str
    threshold: float = 0.0
    demand: float | None = None
    replicas: int | None = None
    """what the HPA would want for this demand, within minReplicaCount and maxReplicaCount"""
    error: str = ""
    unreachable: bool = False
    tried: bool = True
    step_minutes: int = 0
    """between two new numbers of demand, where the trigger names no `queryStep` and there is less than one a minute"""


def ask_queries(
    scaled: ScaledObject, triggers: Sequence[tuple[int, Trigger]], source: MetricSource, server: str = ""
) -> list[Asked]:
    """One instant query per trigger; `server` replaces every trigger's own address (a port forward, say)."""
    asked = [
        (index, dataclasses.replace(trigger, server_address=server or trigger.server_address))
        for index, trigger in triggers
    ]
    answers = asyncio.run(_ask(source, [trigger for _, trigger in asked], time.time()))
    return [
        dataclasses.replace(_asked(scaled, index, trigger, demand), step_minutes=step)
        for (index, trigger), (demand, step) in zip(asked, answers, strict=True)
    ]


async def _ask(
    source: MetricSource, triggers: Sequence[Trigger], now: float
) -> list[tuple[float | DependencyError, int]]:
    """Demand of each trigger or its error, and the minutes between two new numbers (0 where that is no matter)."""
    try:
        demand = await observe_all(source, triggers, now)
        pairs = zip(triggers, demand, strict=True)
        wanted = [isinstance(one, float) and trigger.query_step_seconds is None for trigger, one in pairs]
        steps = [
            await _step_of(source, trigger, now) if is_wanted else 0
            for trigger, is_wanted in zip(triggers, wanted, strict=True)
        ]
        return list(zip(demand, steps, strict=True))
    finally:
        await source.close()


async def _step_of(source: MetricSource, trigger: Trigger, now: float) -> int:
    """What the last day shows, as a running scaler would find it; 0 where it cannot be read."""
    end = now // 60 * 60
    try:
        found = await source.samples(trigger, end - DAY_MINUTES * 60, end, 60.0)
    except DependencyError:
        return 0
    minutes_M = np.full(DAY_MINUTES + 1, np.nan, np.float32)
    minutes_M[np.rint((found.times - end) / 60).astype(np.int64) + DAY_MINUTES] = found.values
    return find_step(minutes_M)


def _asked(scaled: ScaledObject, index: int, trigger: Trigger, answer: float | DependencyError) -> Asked:
    plain = Asked(index, trigger.server_address, trigger.query, trigger.threshold)
    if isinstance(answer, DependencyError):
        unreachable = isinstance(answer, SourceUnavailable) and not isinstance(answer, Partial)
        return dataclasses.replace(plain, error=str(answer), unreachable=unreachable)
    return dataclasses.replace(plain, demand=answer, replicas=replicas_for(scaled, answer, trigger.threshold))


def replicas_for(scaled: ScaledObject, value: float, target: float) -> int | None:
    """What the HPA wants for an AverageValue metric, before tolerance, stabilisation and growth limits.

    None where minReplicaCount or maxReplicaCount cannot be read.
    """
    least, most = scaled.min_replicas, scaled.max_replicas
    return None if least is None or most is None else min(max(_wanted(value, target), least, 1), max(most, 1))


def in_words(scaled: ScaledObject, value: float, target: float) -> str:
    """The same as text, with the bound that decided: `20 replicas (maxReplicaCount; the demand asks for 27)`."""
    wanted, replicas = _wanted(value, target), replicas_for(scaled, value, target)
    if replicas is None:
        return f"{wanted} by demand alone (minReplicaCount or maxReplicaCount cannot be read)"
    text = f"{replicas} replica" if replicas == 1 else f"{replicas} replicas"
    if wanted > replicas:
        return f"{text} (maxReplicaCount; the demand asks for {wanted})"
    if replicas > wanted and scaled.min_replicas == replicas:
        return f"{text} (minReplicaCount; the demand asks for {wanted})"
    return text


def _wanted(value: float, target: float) -> int:
    return average_value(milli(value), milli(target), 0, Hpa())


def our_triggers(scaled: ScaledObject) -> list[OurTrigger]:
    """What KEDA would send for each of our triggers."""
    return [
        OurTrigger(entry.index, scaled.namespace, scaled.name, entry.metadata, entry.kind == "external-push")
        for entry in scaled.our_triggers
    ]


def call_scaler(scaled: ScaledObject, address: str, tls: ScalerTls) -> Iterator[Call]:
    """KEDA's calls against the scaler at `address`, as they are answered."""
    with KedaClient(address, tls) as client:
        yield from keda_calls(client, our_triggers(scaled))
