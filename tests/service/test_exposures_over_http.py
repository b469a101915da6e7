"""What was shown and what came of it, over the running service."""

import time
import uuid
from itertools import chain

import pytest

from tests.support.waiting import wait_for


def shown_to(client, user_id: str) -> list[dict]:
    found = client.get("/v1/exposures?limit=1000").json()["exposures"]
    return [each for each in found if each["user_id"] == user_id]


def recommended(client, user_id: str, k: int = 3) -> dict:
    return client.get(f"/v1/users/{user_id}/recommendations?k={k}").json()


def click(client, user_id: str, item_id: str, **more) -> None:
    event = {"user_id": user_id, "item_id": item_id, "event": "click", **more}
    assert client.post("/v1/interactions", json={"interactions": [event]}).status_code == 202


def row_of(client, placement: str) -> dict | None:
    rows = client.get("/v1/attribution", params={"by": "placement", "placement": placement}).json()["rows"]
    return rows[0] if rows else None


@pytest.fixture
def user() -> str:
    return f"shown-{uuid.uuid4().hex}"


def test_every_answer_is_an_exposure_and_interactions_are_attributed_to_it(client, user):
    first, second = recommended(client, user), recommended(client, user)
    item_id = first["items"][0]["item_id"]
    event_id = uuid.uuid4().hex
    for _ in range(2):
        click(client, user, item_id, recommendation_id=first["recommendation_id"], event_id=event_id)
    click(client, user, first["items"][1]["item_id"])

    def taken() -> dict[str, list]:
        found = shown_to(client, user)
        return {each["recommendation_id"]: [i.get("interactions") for i in each["items"]] for each in found}

    wait_for(lambda: sum(map(bool, chain.from_iterable(taken().values()))) == 2, 30)
    found = taken()

    assert found[first["recommendation_id"]] == [{"click": 1}, None, None]
    assert found[second["recommendation_id"]][1] == {"click": 1}
    latest = next(each for each in shown_to(client, user) if each["recommendation_id"] == second["recommendation_id"])
    assert [item["item_id"] for item in latest["items"]] == [item["item_id"] for item in second["items"]]
    assert latest["model_version"] == second["model_version"]
    assert abs(latest["at"] - time.time()) < 60


def test_lists_from_elsewhere_are_judged_too(client, user):
    placement, name = f"editors-{user}", f"r-{user}"
    lists = [
        {"recommendation_id": name, "user_id": user, "placement": placement, "items": ["x", "y"]},
        {"user_id": user, "placement": placement, "items": [{"item_id": "x", "position": 4, "propensity": 0.5}]},
    ]
    answer = client.post("/v1/exposures", json={"exposures": lists})
    assert (answer.status_code, answer.json()["accepted"], answer.json()["recommendation_ids"][0]) == (202, 2, name)
    click(client, user, "y", recommendation_id=name)
    wait_for(lambda: (row_of(client, placement) or {}).get("interactions") == {"click": 1}, 30)
    row = row_of(client, placement)

    assert (row["exposures"], row["users"], row["rates"]["click"]["rate"]) == (2, 1, 0.5)
    assert 0 < row["rates"]["click"]["low"] < 0.5 < row["rates"]["click"]["high"] < 1
    positions = client.get("/v1/attribution", params={"by": "position", "placement": placement}).json()["rows"]
    assert [each["position"] for each in positions] == [1, 2, 4]


def test_a_deleted_user_was_shown_nothing(client, user):
    recommended(client, user)
    click(client, user, "50")
    wait_for(lambda: shown_to(client, user), 30)

    assert client.delete(f"/v1/users/{user}").status_code == 204
    assert shown_to(client, user) == []


@pytest.mark.parametrize(
    "body",
    [
        {"exposures": []},
        {"exposures": [{"user_id": "a"}]},
        {"exposures": [{"items": [{"item_id": "a", "position": 0}]}]},
        {"exposures": [{"items": ["a", {"item_id": "b", "position": 1}]}]},
        {"exposures": [{"items": ["a"], "experiment": "e"}]},
        {"exposures": [{"items": ["a"], "at": "soon"}]},
    ],
)
def test_what_is_no_exposure_is_refused(client, body):
    assert client.post("/v1/exposures", json=body).status_code == 422


def test_a_report_by_something_else_is_refused_and_one_of_other_days_is_empty(client):
    assert client.get("/v1/attribution?by=colour").status_code == 422
    assert client.get("/v1/attribution?from=yesterday").status_code == 422
    assert client.get("/v1/attribution?from=1&to=2000-01-01T00:00:00Z").json() == {"by": "version", "rows": []}
    assert client.get("/v1/exposures?cursor=x").status_code == 422
