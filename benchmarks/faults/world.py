"""Scaler processes with their servers, and the bystander's triggers."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.request import urlopen

from scaler.commands.check.keda_client import KedaClient, OurTrigger
from tests.e2e.scaler_process import ScalerProcess, scaler_running

from .demand import PROMQL
from .record import TIMEOUT_SECONDS, Watch

REFRESH = "5s"
REFRESH_SECONDS = 5.0
BYSTANDER = "bystander"
_numbers = count(1)


def triggers(server: str, name: str = "orders", **keys: str) -> list[OurTrigger]:
    """The bystander's two: one that answers its observation, and one that answers a plan."""
    common = {
        "query": PROMQL,
        "threshold": "100",
        "serverAddress": server,
        "maxStaleness": "15s",
        "historyWindow": "2d",
        **keys,
    }
    return [
        OurTrigger(next(_numbers), BYSTANDER, f"{name}-reactive", {**common, "mode": "reactive"}),
        OurTrigger(next(_numbers), BYSTANDER, f"{name}-ahead", {**common, "leadTime": "2m"}),
    ]


@dataclass
class Replica:
    """One scaler process, with the means to start it again."""

    start: Callable[[], ScalerProcess]
    life: ExitStack
    process: ScalerProcess
    client: KedaClient
    reachable: bool = True

    def register(self, trigger: OurTrigger) -> None:
        """Call for it, and do not wait for the answer."""
        with KedaClient(self.process.grpc_address, timeout_seconds=0.1) as client:
            client.is_active(trigger, "create")

    def kill(self) -> None:
        """kill -9; the process is gone from the endpoints."""
        self.reachable = False
        self.process.kill()

    def restart(self) -> None:
        """Start it again with the same settings and data, at a new address."""
        self.life.close()
        self.client.__exit__()
        self.process = self.start()
        self.client = KedaClient(self.process.grpc_address, timeout_seconds=TIMEOUT_SECONDS)
        self.reachable = True

    def metric(self, name: str) -> float:
        """The value of a figure without labels; -1 where the replica does not answer."""
        with suppress(OSError), urlopen(f"http://{self.process.http_address}/metrics", timeout=2) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(f"{name} "):
                    return float(line.rpartition(" ")[2])
        return -1.0

    def pause(self, in_endpoints: bool = False) -> None:
        """SIGSTOP; Kubernetes takes it out of the endpoints, as its probes fail."""
        self.reachable = in_endpoints
        self.process.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.process.process.send_signal(signal.SIGCONT)
        self.reachable = True


@dataclass
class Group:
    """Replicas that share what their options name."""

    folder: Path
    name: str
    replicas: list[Replica] = field(default_factory=list)

    def data_dir(self, number: int) -> Path:
        """Where this replica keeps its files."""
        return self.folder / f"{self.name}-{number}-data"

    def resume(self) -> None:
        """Let all go on that live."""
        for one in self.replicas:
            if one.process.process.poll() is None:
                one.resume()

    def clients(self) -> Sequence[KedaClient]:
        """What KEDA balances over."""
        return [one.client for one in self.replicas if one.reachable]

    def rung(self, trigger: OurTrigger) -> str:
        """The rung of the current plan, from a replica that answers; empty where none does."""
        for replica in self.replicas:
            if replica.reachable:
                with suppress(OSError, ValueError, KeyError, IndexError, TypeError):
                    return self._rung_of(replica, trigger)
        return ""

    def _rung_of(self, replica: Replica, trigger: OurTrigger) -> str:
        path = f"/api/v1/plans?namespace={trigger.namespace}&name={trigger.name}"
        with urlopen(f"http://{replica.process.http_address}{path}", timeout=2) as answer:
            return str(json.load(answer)["plans"][0]["plan"]["rung"])

    def until_forecast(self, wanted: Sequence[OurTrigger], seconds: float = 180) -> None:
        """Return when every one of `wanted` is answered as well as it can be."""
        deadline = time.monotonic() + seconds
        while waiting := [one for one in wanted if self.rung(one) != _best_rung(one)]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {seconds} s: {[(one.name, self.rung(one)) for one in waiting]}")
            for client in self.clients():
                for one in wanted:
                    client.metrics(one, "headway", "poll")
            time.sleep(0.5)

    @contextmanager
    def watched(self, wanted: Sequence[OurTrigger], **options: object) -> Iterator[list[Watch]]:
        """Watches of these triggers, which run when this returns."""
        watches = [Watch(one, self.clients, self.rung, **options) for one in wanted]  # type: ignore[arg-type]
        with ExitStack() as stack:
            for watch in watches:
                stack.enter_context(watch)
            yield watches


def _best_rung(trigger: OurTrigger) -> str:
    return "observation_alone" if trigger.metadata.get("mode") == "reactive" else "forecast_and_observation"


@contextmanager
def replicas(
    folder: Path,
    number: int,
    *options: str,
    name: str = "scaler",
    environment: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
) -> Iterator[Group]:
    """`number` scaler processes with the same options, each with a data folder of its own; they start together."""
    group = Group(folder, name)
    with ExitStack() as stack:
        # A child dies with the thread that started it: the threads live as long as the group.
        starters = stack.enter_context(ThreadPoolExecutor(number))
        stack.callback(group.resume)
        starting = []
        for at in range(number):
            life = stack.enter_context(ExitStack())

            def start(life: ExitStack = life, at: int = at) -> ScalerProcess:
                running = scaler_running(
                    folder,
                    *("--refresh-interval", REFRESH, *options),
                    name=f"{name}-{at}",
                    environment=environment,
                    prefix=prefix,
                )
                return life.enter_context(running)

            starting.append((start, life, starters.submit(start)))
        for start, life, started in starting:
            process = started.result()
            client = KedaClient(process.grpc_address, timeout_seconds=TIMEOUT_SECONDS)
            group.replicas.append(Replica(start, life, process, client))
        yield group


def hooked(folder: Path, source: str) -> Mapping[str, str]:
    """An environment in which a scaler process runs `source` first."""
    hooks = folder / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(source)
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(hooks), os.environ.get("PYTHONPATH"))))}


WRITES_OFTEN = """
import scaler.refresh.checkpoint
scaler.refresh.checkpoint.EVERY_SECONDS = 1.0
"""
"""a process that writes to its store every second, so that faults of the store hit a write"""


@contextmanager
def newcomers(group: Group) -> Iterator[None]:
    """A new trigger every second, so that there is something to write."""
    ends = threading.Event()

    def run() -> None:
        for number in count():
            if ends.wait(1):
                return
            given = {"query": f"vector({number})", "threshold": "1", "mode": "reactive"}
            reachable = [one for one in group.replicas if one.reachable]
            with suppress(IndexError, ValueError):
                reachable[number % max(1, len(reachable))].register(OurTrigger(0, "newcomers", f"new-{number}", given))

    thread = threading.Thread(target=run, name="newcomers", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join(10)


def settled(watches: Sequence[Watch], number: int, seconds: float = 60) -> bool:
    """Wait until every watch gets good values from all replicas; False where that takes longer."""
    deadline = time.monotonic() + seconds
    while not all(watch.is_good(number) for watch in watches):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
