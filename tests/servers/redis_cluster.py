"""A real cluster of Redis-compatible servers, each with its share of the 16384 slots."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis.crc import key_slot

from tests.servers.process import free_port, wait_until
from tests.servers.redis import HOW_TO_INSTALL, RedisServer, server_binary

SLOTS = 16384


class RedisCluster:
    """Nodes that can be stopped together and started again with their slots. A client's URL leads to the first one."""

    def __init__(self) -> None:
        self.nodes: list[RedisServer] = []
        self._bus_ports: list[int] = []

    @property
    def url(self) -> str:
        return self.nodes[0].url

    def add(self, binary: Path, folder: Path) -> None:
        """Start one more node, which knows no other yet."""
        folder.mkdir()
        bus_port = free_port()
        options = ("--cluster-enabled", "yes", "--cluster-port", str(bus_port), "--cluster-node-timeout", "2000")
        node = RedisServer(binary, folder, options)
        self.nodes.append(node)
        self._bus_ports.append(bus_port)
        node.start()

    def start(self) -> None:
        """Return when every node knows who serves each slot. What they held before is gone."""
        for node in self.nodes:
            if node.process is None:
                node.start()
        self._wait_until_it_serves()

    def stop(self) -> None:
        """Connections break; new ones are refused."""
        for node in self.nodes:
            node.stop()

    def form(self) -> None:
        """Share the slots among new nodes, and make them know each other."""
        share = SLOTS // len(self.nodes)
        for number, node in enumerate(self.nodes):
            last = SLOTS if node is self.nodes[-1] else (number + 1) * share
            node.command("CLUSTER", "ADDSLOTSRANGE", number * share, last - 1)
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number:
                node.command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, self._bus_ports[0])
        self._wait_until_it_serves()

    def owner(self, key: str) -> RedisServer:
        """The node that holds this key."""
        slot = key_slot(key.encode())
        (port,) = [
            answer[2][1] for answer in self.nodes[0].command("CLUSTER", "SLOTS") if answer[0] <= slot <= answer[1]
        ]
        return next(node for node in self.nodes if node.port == port)

    def move(self, key: str, to: RedisServer) -> None:
        """Let another node have the slot of this key; what was in it is gone."""
        name = to.command("CLUSTER", "MYID")
        self.owner(key).command("FLUSHALL")
        for node in [to, *self.nodes]:
            node.command("CLUSTER", "SETSLOT", key_slot(key.encode()), "NODE", name)

    def _wait_until_it_serves(self) -> None:
        for node in self.nodes:
            assert node.process is not None
            wait_until(lambda node=node: self._serves(node), node.process, node.log)

    def _serves(self, node: RedisServer) -> bool:
        lines = node.command("CLUSTER", "INFO").split()
        return {"cluster_state:ok", f"cluster_known_nodes:{len(self.nodes)}"} <= set(lines)


@contextmanager
def redis_cluster(size: int) -> Iterator[RedisCluster]:
    """A started cluster; skips the test, saying how to install a server, where there is none."""
    binary = server_binary()
    if binary is None:
        pytest.skip(HOW_TO_INSTALL)
    with tempfile.TemporaryDirectory(prefix="headway-redis-cluster-") as folder:
        cluster = RedisCluster()
        try:
            for number in range(size):
                cluster.add(binary, Path(folder) / str(number))
            cluster.form()
            yield cluster
        finally:
            cluster.stop()
