"""Chapters 5 and 6 of the contract."""

import os
import signal
import time

import httpx
import pytest


def wait_for_training(client: httpx.Client, within_s: float = 120) -> dict:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        status = client.get("/v1/status").json()
        if status["training"] == "idle":
            return status
        time.sleep(0.2)
    raise AssertionError(status)


def test_a_full_training_learns_what_waits_and_serves_on_every_replica(client):
    wait_for_training(client)
    client.post("/v1/interactions", json={"interactions": [{"user_id": "learned-by-test", "item_id": "50"}]})
    waiting = client.get("/v1/status").json()["interactions_waiting"]
    before = client.get("/v1/models/active").json()["version"]

    assert waiting >= 1
    assert client.post("/v1/models", json={"mode": "full"}).status_code == 202
    assert client.post("/v1/models", json={"mode": "full"}).status_code == 409
    status = wait_for_training(client)
    assert status["last_training"]["outcome"] == "published"
    assert status["model_version"] > before
    assert status["interactions_waiting"] == 0
    time.sleep(0.5)
    replicas = client.get("/v1/status").json()["replicas"]
    assert {replica["model_version"] for replica in replicas} == {status["model_version"]}
    answer = client.get("/v1/users/learned-by-test/recommendations").json()
    assert (answer["strategy"], answer["case"]) == ("personalized", "III")
    assert "50" not in {item["item_id"] for item in answer["items"]}


def test_models_are_listed_newest_first_with_held_out_metrics(client):
    models = client.get("/v1/models").json()["models"]

    assert [model["version"] for model in models] == sorted((model["version"] for model in models), reverse=True)
    assert sum(model["status"] == "active" for model in models) == 1
    for model in models:
        assert {"ndcg@10", "precision@10", "recall@10", "auc"} <= set(model["metrics"])
        assert model["metrics"]["auc"] > 0.7
        assert model["trained_on"]["interactions"] > 90_000


def test_a_rollback_serves_on_every_replica_and_latest_lifts_it(client):
    wait_for_training(client)
    newest = client.get("/v1/models/active").json()["version"]
    if len(client.get("/v1/models").json()["models"]) == 1:
        client.post("/v1/models", json={"mode": "full"})
        newest = wait_for_training(client)["model_version"]
    older = client.get("/v1/models").json()["models"][-1]["version"]

    assert client.put("/v1/models/active", json={"version": older}).json()["version"] == older
    answers = {client.get("/v1/users/22/recommendations").json()["model_version"] for _ in range(10)}
    assert answers == {older}
    assert client.put("/v1/models/active", json={"version": "latest"}).json()["version"] == newest


@pytest.mark.parametrize("version", ["99999999", "../../etc", "nonsense"])
def test_a_version_that_is_not_there_is_not_found(client, version):
    answer = client.put("/v1/models/active", json={"version": version})

    assert answer.status_code == 404


def test_the_status_tells_of_every_part(client):
    status = client.get("/v1/status").json()

    parts = {"model_store", "predictors", "feature_fetchers", "trainer", "store", "exposures"}
    assert set(status["health"]) == parts
    assert set(status["health"].values()) == {"ok"}
    answering = ["Predictor"] if status["near"]["mode"] == "never" else ["Ingress", "Predictor"]
    assert sorted(each["deployment"] for each in status["replicas"]) == sorted(2 * answering)
    assert status["store"]["warnings"] == []


def predictors(status: dict) -> list[dict]:
    return [each for each in status["replicas"] if each["deployment"] == "Predictor"]


def test_a_predictor_that_is_silent_is_told_of_and_hides_no_other(client):
    active = client.get("/v1/models/active").json()["version"]
    silent, other = predictors(client.get("/v1/status").json())
    os.kill(silent["pid"], signal.SIGSTOP)
    try:
        status = client.get("/v1/status").json()
        ready = client.get("/readyz").status_code
        activated = client.put("/v1/models/active", json={"version": active})
    finally:
        os.kill(silent["pid"], signal.SIGCONT)
    client.put("/v1/models/active", json={"version": "latest"})

    assert status["health"]["predictors"] == "degraded: 1 of 2 do not answer"
    assert [each["replica"] for each in predictors(status)] == [other["replica"]]
    assert ready == 200
    assert activated.status_code == 503
    assert "replicas confirm it (1 did not answer)" in activated.json()["detail"]


def test_head_is_answered_as_get_without_the_body_and_options_name_the_methods(client):
    for path in ("/", "/healthz", "/v1/popular", "/v1/status", "/v1/users/22/recommendations?k=3"):
        head = client.head(path)

        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) > 0
    assert client.options("/v1/items/1").headers["allow"] == "DELETE, GET, PUT, OPTIONS, HEAD"


def test_the_process_is_up_and_ready(client):
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_openapi_describes_every_route_of_the_contract(client):
    document = client.get("/openapi.json").json()
    routes = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}

    assert {
        ("GET", "/v1/users/{user_id}/recommendations"),
        ("POST", "/v1/recommendations"),
        ("POST", "/v1/rank"),
        ("GET", "/v1/popular"),
        ("POST", "/v1/interactions"),
        ("PUT", "/v1/users/{user_id}"),
        ("GET", "/v1/users/{user_id}"),
        ("DELETE", "/v1/users/{user_id}"),
        ("GET", "/v1/users"),
        ("POST", "/v1/users"),
        ("GET", "/v1/users/{user_id}/interactions"),
        ("PUT", "/v1/items/{item_id}"),
        ("GET", "/v1/items"),
        ("POST", "/v1/items"),
        ("GET", "/v1/models"),
        ("POST", "/v1/models"),
        ("GET", "/v1/models/active"),
        ("PUT", "/v1/models/active"),
        ("GET", "/v1/status"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
    } <= routes
    assert client.get("/docs").status_code == 200


def test_a_request_id_comes_back(client):
    answer = client.get("/healthz", headers={"x-request-id": "abc-123"})

    assert answer.headers["x-request-id"] == "abc-123"
