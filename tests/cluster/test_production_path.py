"""Whatever an operator does to a cluster of three nodes under 100 requests a second, none of them fails.

The state is in an object store, and each node has a cache of its own, so that nothing is shared on a disk.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from test_two_nodes import BY_HAND, CONNECTIONS, WORLD, reading, versions

from tests.support.rows import FACTOR, Row, percentile, seconds_until
from tests.support.running_cluster import Node, RunningCluster
from tests.support.running_service import ROOT, words
from tests.support.s3_server import S3Server
from tests.support.steady_load import SteadyLoad
from tests.support.waiting import wait_for
from tests.support.ways import Ways

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.skipif(FACTOR == 1, reason="minutes long: make reliability"),
]

MODEL_STORE = b"ray::ModelStore"
TRAINER = b"ServeReplica:recommender:Trainer"


@pytest.fixture(scope="module")
def code(tmp_path_factory) -> Path:
    """A copy of the code, which can be changed."""
    folder = tmp_path_factory.mktemp("code")
    for package in ("recommender", "deployments", "lightfm_serve"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, redis_server, code) -> Iterator[RunningCluster]:
    bucket = S3Server()
    running = RunningCluster(
        tmp_path_factory.mktemp("production"),
        code,
        dataset=WORLD,
        redis_url=redis_server.tcp_url.replace("/0", "/1"),
        training=BY_HAND,
        state_dir=bucket.url("state"),
    )
    running.variables |= bucket.environment
    try:
        running.start_head()
        assert running.deploy().returncode == 0
        running.wait_until_ready()
        yield running
    finally:
        running.stop()
        bucket.end()


@contextmanager
def under_load(cluster: RunningCluster, what: str, how: str, may_fail: int = 0) -> Iterator[None]:
    """Load while the block runs, until every replica is there again and a little longer."""
    wait_for(cluster.is_whole, 120)
    with SteadyLoad(cluster.port, reading, per_s=100, connections=CONNECTIONS) as load:
        time.sleep(1)
        began = time.time()
        yield
        wait_for(cluster.is_whole, 180)
        took_s = time.time() - began
        time.sleep(2)
    bad = load.failed()
    stalled_s = seconds_until(load.answers, began, lambda each: each.status == 200 and each.ms < 1000)
    p50_ms, p99_ms = (percentile(load.answers, share) for share in (0.5, 0.99))
    note = f"{load.per_s:.0f} a second, p50 {p50_ms:.0f} ms, p99 {p99_ms:.0f} ms; "
    note += f"last failed or slow answer after {stalled_s:.1f} s; {load.repeated} sent again"
    Row(what, how, len(load.answers), len(bad), None, round(took_s, 1), note).write()
    assert len(bad) <= may_fail, [(each.status, each.body, round(each.at - began, 2)) for each in bad]


def scaled(cluster: RunningCluster, deployment: str, replicas: int) -> Callable[[], bool]:
    cluster.parts(**{deployment: {"num_replicas": replicas}})
    cluster.put()
    return lambda: cluster.running(deployment) == replicas and cluster.is_running()


def test_two_nodes_join_and_get_replicas(cluster):
    with under_load(cluster, "two nodes join", "ray start; 2 → 3 predictors, one a node"):
        cluster.join()
        cluster.join()
        cluster.parts(Predictor={"num_replicas": 3, "max_replicas_per_node": 1})
        cluster.put()
        wait_for(lambda: [len(node.replicas("Predictor")) for node in cluster.nodes] == [1, 1, 1], 120)
    cluster.parts(Predictor={"max_replicas_per_node": 100})
    cluster.put()
    wait_for(cluster.is_running, 120)


def test_a_model_that_is_published_reaches_every_node(cluster):
    before = set(versions(cluster))
    with under_load(cluster, "publish on three nodes", "POST /v1/models"), cluster.client() as client:
        assert client.post("/v1/models", json={"mode": "full"}).status_code == 202
        wait_for(lambda: len(set(versions(cluster))) == 1 and not before & set(versions(cluster)), 60)


@pytest.mark.parametrize(("deployment", "numbers"), [("Predictor", (2, 4, 1, 2)), ("Ingress", (3, 2))])
def test_replicas_are_changed_as_the_dashboard_does_it(cluster, deployment, numbers):
    shown = " → ".join(map(str, numbers))
    with under_load(cluster, f"{deployment.lower()} replicas {shown}", "PUT /api/serve/applications/"):
        for number in numbers:
            wait_for(scaled(cluster, deployment, number), 120)


def test_changed_arguments(cluster):
    stats_port = cluster.variables["RAY_SERVE_HAPROXY_STATS_PORT"]
    with Ways(stats_port) as ways, under_load(cluster, "args change", "explore: 0.2, make deploy"):
        cluster.application["args"]["explore"] = 0.2
        done = cluster.deploy()
        assert done.returncode == 0, done.stderr

    print(ways.to_replicas, "requests to replicas,", ways.to_python, "through Ray's Python proxy")
    assert ways.to_python == 0 < ways.to_replicas


def test_new_code(cluster, code):
    api = code / "deployments" / "ingress.py"
    api.write_text(api.read_text().replace('title="lightfm-serve"', 'title="the next release"'))

    with under_load(cluster, "new code", "make deploy"):
        done = cluster.deploy()
        assert done.returncode == 0, done.stderr

    titles = {httpx.get(f"{cluster.url}/openapi.json").json()["info"]["title"] for _ in range(10)}
    assert titles == {"the next release"}
    assert cluster.deploy().returncode == 0


def test_a_configuration_that_cannot_work_is_refused_and_what_runs_goes_on(cluster):
    other = {**cluster.application, "name": "embedded", "route_prefix": "/embedded"}
    other["args"] = {**other["args"], "redis_url": "embedded"}
    with under_load(cluster, "args that cannot work", "make deploy"):
        cluster.content["applications"].append(other)
        refused = cluster.deploy()
        cluster.content["applications"].remove(other)
        cluster.put()

    assert refused.returncode == 1
    assert "Set redis_url" in refused.stderr


def test_a_node_that_is_drained_leaves_unnoticed(cluster):
    cluster.join()
    wait_for(scaled(cluster, "Predictor", 4), 60)
    node = max(cluster.nodes[1:], key=lambda each: len(with_request_ids(each)))
    assert with_request_ids(node)
    with under_load(cluster, "a node leaves", "SIGTERM, which drains it"):
        node.leave()


def test_the_node_of_the_trainer_dies(cluster):
    node = moved_off_the_head(cluster, TRAINER)
    with under_load(cluster, "the trainer's node dies", "SIGKILL of all its processes", CONNECTIONS):
        node.kill()
        wait_for(lambda: cluster.nodes_with(TRAINER), 60)
    learns(cluster)


def test_the_node_of_the_model_store_dies(cluster):
    cluster.join()
    wait_for(scaled(cluster, "Predictor", 5), 60)
    node = moved_off_the_head(cluster, MODEL_STORE)
    with under_load(cluster, "the model store's node dies", "SIGKILL of all its processes", CONNECTIONS):
        node.kill()
        wait_for(lambda: cluster.nodes_with(MODEL_STORE), 60)
    learns(cluster)


def with_request_ids(node: Node) -> set[int]:
    """Replicas on the request path that a node has."""
    return set().union(*(node.replicas(each) for each in ("Ingress", "FeatureFetcher", "Predictor")))


def moved_off_the_head(cluster: RunningCluster, title: bytes) -> Node:
    """A node other than the head that has a process, which is killed until it has come up there, and answers too."""
    for _ in range(40):
        wait_for(lambda: cluster.nodes_with(title), 60)
        [node, *_] = cluster.nodes_with(title)
        if node is not cluster.nodes[0] and with_request_ids(node):
            return node
        [pid, *_] = [pid for pid in node.processes() if title in words(pid)]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda pid=pid: title not in words(pid), 10)
    pytest.fail(f"{title!r} never comes up on another node that has replicas")


def learns(cluster: RunningCluster) -> None:
    """Whether a training goes through from here to the predictors."""
    before = set(versions(cluster))
    with cluster.client() as client:
        wait_for(lambda: client.post("/v1/models", json={"mode": "full"}).status_code == 202, 60)
        wait_for(lambda: not before & set(versions(cluster)), 60)
