"""Three machines with addresses of their own, each with a HAProxy: one is cut off, then the head dies and comes back.

Ray's head keeps what it knows in a Redis of its own, beside that of the store.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from test_two_nodes import BY_HAND, WORLD, reading, versions

from deployments.ray_runtime.environment import DEAD_AFTER
from tests.support.machines import ClusterOfMachines, Network, are_possible
from tests.support.rows import FACTOR, Row, percentile, seconds_until
from tests.support.running_cluster import Node
from tests.support.steady_load import SteadyLoad
from tests.support.store_servers import Server, start_redis
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.skipif(FACTOR == 1, reason="minutes long: make reliability"),
]

PARTS = ("Ingress", "FeatureFetcher", "Predictor")
CONNECTIONS = 40
"""So that those who wait for what is silent do not keep the others from asking."""
HEAD_IS_AWAY_S = 20.0
ANSWERING = 6
"""Predictors and ingresses: one of each a machine."""


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    if not are_possible():
        pytest.skip("network namespaces are not permitted here")
    made = Network()
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, network) -> Iterator[ClusterOfMachines]:
    password = secrets.token_hex(16)

    def redis(name: str) -> Server:
        return start_redis(tmp_path_factory.mktemp(name), None, "--bind", network.address, "127.0.0.1",
                           "--requirepass", password)  # fmt: skip

    with ExitStack() as ending:
        store, rays = redis("s"), redis("g")
        ending.callback(store.end)
        ending.callback(rays.end)
        running = ClusterOfMachines(
            tmp_path_factory.mktemp("machines"),
            network,
            dataset=WORLD,
            redis_url=f"redis://:{password}@{network.address}:{store.port}/0",
            training=BY_HAND,
        )
        running.parts(**{name: {"num_replicas": 3, "max_replicas_per_node": 1} for name in PARTS})
        running.variables |= {
            **DEAD_AFTER,
            "RAY_REDIS_ADDRESS": f"{network.address}:{rays.port}",
            "RAY_external_storage_namespace": "recommender",
        }
        ending.callback(running.stop)
        running.start_head(f"--redis-password={password}")
        running.password = password
        running.join()
        running.join()
        deployed = running.deploy()
        assert deployed.returncode == 0, deployed.stderr
        running.wait_until_ready()
        wait_for(running.is_whole, 60)
        for node in running.nodes:
            wait_for(lambda node=node: answers(running, node), 30)
        yield running


def answers(cluster: ClusterOfMachines, node: Node) -> bool:
    try:
        return httpx.get(f"http://{node.machine.address}:{cluster.port}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def under_load(cluster: ClusterOfMachines, node: Node, what: str, how: str, may_fail: int) -> Iterator[Callable]:
    """Load on the HAProxy of a node while the block runs; it tells when it counts as done."""
    with cluster.load(node, reading, per_s=100, connections=CONNECTIONS) as load:
        time.sleep(3)
        began = time.time()
        done: list[float] = []
        yield lambda: done.append(time.time() - began)
        time.sleep(3)
    bad = load.failed()
    for each in bad:
        print(each.status, each.body, round(each.at - began, 2))
    Row(what, how, len(load.answers), len(bad), None, round(done[-1], 1), note(load, began)).write()
    assert len(bad) <= may_fail


def note(load: SteadyLoad, began: float) -> str:
    late_s = seconds_until(load.answers, began, lambda each: each.status == 200 and each.ms < 1000)
    slow = sum(each.ms >= 1000 for each in load.answers)
    p50_ms, p99_ms = (percentile(load.answers, share) for share in (0.5, 0.99))
    return (
        f"{load.per_s:.0f} a second, p50 {p50_ms:.0f} ms, p99 {p99_ms:.0f} ms; {slow} took over a second, the last "
        f"after {late_s:.1f} s; {load.repeated} sent again"
    )


def replicas(node: Node) -> dict[str, set[int]]:
    return {name: node.replicas(name) for name in PARTS}


def test_a_machine_that_is_cut_off_is_done_without(cluster):
    lost = cluster.nodes[2]
    with under_load(cluster, cluster.nodes[0], "a machine is cut off", "its link is down", CONNECTIONS) as done:
        lost.machine.cut()
        wait_for(lambda: len(cluster._living()) == 2, 60)
        done()


def test_a_machine_that_was_cut_off_ends_its_node_and_joins_again(cluster):
    lost = cluster.nodes[2]
    with under_load(cluster, cluster.nodes[0], "it is back", "its link is up; make node again", 0) as done:
        lost.machine.mend()
        lost.process.wait(60)
        cluster.rejoin(lost)
        wait_for(cluster.is_whole, 120)
        done()


def test_the_head_dies_and_comes_back_and_the_others_serve_on(cluster):
    head, *others = cluster.nodes
    before = [replicas(node) for node in others]
    how = f"SIGKILL of all its processes, make head after {HEAD_IS_AWAY_S:.0f} s"
    with under_load(cluster, others[0], "the head dies", how, CONNECTIONS) as done:
        head.kill()
        time.sleep(HEAD_IS_AWAY_S)
        assert [replicas(node) for node in others] == before
        cluster.start_head(f"--redis-password={cluster.password}")
        wait_for(lambda: is_whole(cluster), 120)
        done()

    assert [replicas(node) for node in others] == before
    for number in (2, 3):
        cluster.parts(Predictor={"num_replicas": number})
        cluster.put()
        wait_for(lambda: is_whole(cluster), 60)
    assert cluster.deploy().returncode == 0
    earlier = set(versions(cluster))
    with cluster.client() as client:
        assert client.post("/v1/models", json={"mode": "full"}).status_code == 202
        wait_for(lambda: len(versions(cluster)) == ANSWERING and not earlier & set(versions(cluster)), 60)


def is_whole(cluster: ClusterOfMachines) -> bool:
    try:
        return cluster.is_whole()
    except (httpx.HTTPError, KeyError, ValueError):  # the dashboard is up before it knows anything
        return False
