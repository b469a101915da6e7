"""Audit, forgetting and back-up of the running service."""

import json

import pytest
from click.testing import CliRunner

from lightfm_serve.cli import main
from recommender.storage.audit_trail import digest_of
from tests.support.waiting import wait_for


def run(*words: object, status: int = 0) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result.output


def trained(client) -> None:
    def begun() -> bool:
        return client.post("/v1/models", json={"mode": "incremental"}).status_code == 202

    wait_for(begun, 120)
    wait_for(lambda: client.get("/v1/status").json()["training"] == "idle", 120)


def test_a_user_who_is_forgotten_is_nowhere_and_the_audit_has_a_digest(service, client):
    user, digest = "to/be forgotten", digest_of("to/be forgotten")
    path = "/v1/users/to%2Fbe%20forgotten"
    client.put(path, json={"features": {"age": 33}})
    items = [each["item_id"] for each in client.get("/v1/popular?k=5").json()["items"]]
    client.post("/v1/interactions", json={"interactions": [{"user_id": user, "item_id": each} for each in items]})
    trained(client)
    known = client.get(f"{path}/recommendations").json()["strategy"]
    report = json.loads(run("forget", user, "--verify", "--url", service.url, "--json"))
    answer = client.get(f"{path}/recommendations").json()
    entries = client.get("/v1/audit?limit=1000").json()["audit"]

    assert known in ("personalized", "recent")
    assert [each["place"] for each in report["places"] if each["left"] != 0] == []
    assert {"versions", "serving processes", "audit", "store"} <= {each["place"] for each in report["places"]}
    assert next(each["erased"] for each in report["places"] if each["place"] == "versions") > 0
    assert answer["strategy"] == "popular"
    assert client.get(path).status_code == 404
    assert client.get(f"{path}/interactions").status_code == 404
    assert [(each["who"], each["action"]) for each in entries if each["target"] == digest] == [("local", "user.forget")]
    assert user not in json.dumps(entries)


def test_a_running_service_is_backed_up_and_restored_beside_it(service, client, tmp_path):
    clicks = [{"user_id": "backed-up", "item_id": str(each), "event_id": f"backed-up-{each}"} for each in range(1, 30)]
    for click in clicks:
        assert client.post("/v1/interactions", json={"interactions": [click]}).status_code == 202
    report = json.loads(run("backup", tmp_path / "backup", "--state-dir", service.folder / "state", "--json"))
    restored = json.loads(run("restore", tmp_path / "backup", "--state-dir", tmp_path / "new", "--verify", "--json"))

    assert report["versions"] == restored["versions"] == restored["verified"]["versions"] >= 1
    assert restored["verified"]["items"] >= 1
    assert restored["interactions_in_log"] == report["interactions_in_log"]


@pytest.mark.parametrize("query", ["?limit=0", "?cursor=x", "?newest=1"])
def test_a_page_of_the_audit_that_cannot_be_is_refused(client, query):
    assert client.get(f"/v1/audit{query}").status_code == 422
