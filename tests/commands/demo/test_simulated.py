from scaler.commands.demo.simulated import Deployment
from scaler.plan.hpa import Hpa


def deployment(demand: float = 100) -> Deployment:
    return Deployment.sized_for(demand, threshold=10, startup_seconds=90, hpa=Hpa(min_replicas=2, max_replicas=30))


def test_it_starts_with_enough_ready_pods() -> None:
    """As if it had been running for long: 100 of demand at 10 per pod is 10 ready pods."""
    assert (deployment().replicas, deployment().ready(1000.0)) == (10, 10)


def test_new_pods_serve_after_their_start() -> None:
    """Pods ordered at one sync are ready 90 s later, not before."""
    pods = deployment()
    pods.sync(150, demand=100, now=1000.0)
    assert (pods.replicas, pods.ready(1089.0), pods.ready(1090.0)) == (15, 10, 15)


def test_minutes_are_short_while_pods_start() -> None:
    """Demand above what the ready pods carry counts as short for as long as it lasts."""
    pods = deployment()
    for now in range(1000, 1150, 15):
        pods.sync(150, demand=150, now=float(now))
    assert pods.short_minutes == 1.5


def test_the_youngest_pods_go_first() -> None:
    """Scaling down keeps the pods that serve."""
    pods = deployment(20)
    pods.sync(40, demand=20, now=1000.0)
    for now in (1400.0, 1800.0):
        pods.sync(20, demand=20, now=now)
    assert pods.ready_at == [0.0, 0.0]


def test_an_error_holds_the_replicas() -> None:
    """A trigger that answers with an error changes nothing."""
    pods = deployment()
    pods.sync(None, demand=300, now=1000.0)
    assert pods.replicas == 10
