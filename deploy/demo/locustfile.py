"""Load on the demo service after a pattern: `locust --host http://…`, with the variables of patterns.py."""

import os
import random
import time
from typing import ClassVar

import gevent
from locust import FastHttpUser, LoadTestShape, constant_throughput, task
from patterns import demand_of

DEMAND = demand_of(os.environ)


class Visitor(FastHttpUser):
    """One request per second, so that the number of users is the number of requests per second."""

    wait_time = constant_throughput(1)
    # else users stay with the pods that they began with, and new pods get no load
    default_headers: ClassVar = {"Connection": "close"}

    def on_start(self) -> None:
        """Users that begin together must not stay in step: they would come as one burst every second."""
        gevent.sleep(random.random())

    @task
    def visit(self) -> None:
        """Slow and refused answers are part of the demonstration."""
        self.client.get("/", name="visit")


class Pattern(LoadTestShape):
    """As many users as the pattern demands."""

    def tick(self) -> tuple[int, float]:
        users = max(1, round(DEMAND(time.time())))
        return users, max(1, users)
