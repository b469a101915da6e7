"""The same service on a Ray cluster of two nodes, and what is left of it when one dies."""

import time
from pathlib import Path

import pytest

from benchmarks.harness.fake_versions import put_versions
from tests.support.running_cluster import RunningCluster
from tests.support.running_service import N_INGRESSES_ANSWERING
from tests.support.steady_load import SteadyLoad
from tests.support.waiting import wait_for

pytestmark = pytest.mark.reliability

WORLD = "synthetic?n_users=200&n_items=100"
BY_HAND = {"full_every_s": None, "incremental_every_s": None, "margin": 10}
CONNECTIONS = 12
ANSWERING = N_INGRESSES_ANSWERING + 4
"""Those that have the model: four predictors, and the ingresses that answer what is small."""
LARGE = 200_000
"""Items of a snapshot that is larger than anything else a predictor has."""


def reading(number: int) -> str:
    return f"/v1/users/u{number % 200}/recommendations"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, redis_server):
    running = RunningCluster(
        tmp_path_factory.mktemp("two"), dataset=WORLD, redis_url=redis_server.tcp_url, training=BY_HAND
    )
    running.parts(Ingress={"max_replicas_per_node": 1}, FeatureFetcher={"max_replicas_per_node": 1})
    running.parts(Predictor={"num_replicas": 4, "max_replicas_per_node": 2})
    try:
        running.start_head()
        running.join()
        deployed = running.deploy()
        assert deployed.returncode == 0, deployed.stderr
        running.wait_until_ready()
        running.wait_until_running()
        yield running
    finally:
        running.stop()


def versions(cluster: RunningCluster) -> list[str]:
    with cluster.client() as client:
        return [replica["model_version"] for replica in client.get("/v1/status").json()["replicas"]]


def test_each_node_has_replicas_and_a_model_that_is_published_reaches_both(cluster):
    for deployment, each in (("Ingress", 1), ("FeatureFetcher", 1), ("Predictor", 2)):
        assert [len(node.replicas(deployment)) for node in cluster.nodes] == [each, each]

    with SteadyLoad(cluster.port, reading, per_s=100, connections=CONNECTIONS) as load, cluster.client() as client:
        assert client.post("/v1/models", json={"mode": "full"}).status_code == 202
        wait_for(lambda: versions(cluster) == ["00000002"] * ANSWERING, 60)

    assert load.failed() == []


def private_bytes(pid: int) -> int:
    """What a process shares with no other."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) << 10


def test_a_node_holds_one_copy_of_a_snapshot_however_many_predictors_it_has(cluster):
    state = cluster.folder / "state"
    [version] = put_versions(state, LARGE, 1)
    size = (state / "models" / version / "snapshot.safetensors").stat().st_size
    predictors = [pid for node in cluster.nodes for pid in node.replicas("Predictor")]
    before = {pid: private_bytes(pid) for pid in predictors}

    with cluster.client() as client:
        assert client.put("/v1/models/active", json={"version": version}).status_code == 200
        for number in range(40):
            assert client.get(f"/v1/users/{number}/recommendations").json()["model_version"] == version

    assert versions(cluster) == [version] * ANSWERING
    wait_for(lambda: all(size <= used < 1.2 * size for used in cluster.object_store_bytes()), 20)
    assert len(cluster.object_store_bytes()) == 2
    assert max(private_bytes(pid) - before[pid] for pid in predictors) < 0.5 * size


def test_an_embedded_store_refuses_a_cluster_of_several_nodes_and_says_what_to_do(cluster):
    other = {**cluster.application, "name": "embedded", "route_prefix": "/embedded"}
    other["args"] = {**other["args"], "redis_url": "embedded"}
    cluster.content["applications"].append(other)
    before = [node.replicas("Ingress") for node in cluster.nodes]
    cluster.put()
    wait_for(lambda: cluster.state("embedded").get("status") == "DEPLOY_FAILED", 60)
    refused = cluster.state("embedded")
    cluster.content["applications"].remove(other)
    cluster.put()

    assert "this Ray cluster has several. Set redis_url" in refused["message"]
    wait_for(cluster.is_running, 60)
    assert [node.replicas("Ingress") for node in cluster.nodes] == before


def test_a_node_that_dies_costs_only_what_was_in_flight_there(cluster):
    wait_for(cluster.is_running, 60)
    with SteadyLoad(cluster.port, reading, per_s=100, connections=CONNECTIONS) as load:
        time.sleep(1)
        died = time.time()
        cluster.nodes[1].kill()
        time.sleep(3)

    assert len(load.failed()) <= CONNECTIONS, load.failed()
    assert all(answer.at < died + 1 for answer in load.failed())
    assert load.answers[-1].status == 200
