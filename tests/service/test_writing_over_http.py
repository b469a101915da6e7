"""Chapter 4 of the contract, and what must hold after a write."""

import time
import uuid

import httpx
import pytest


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def post(client: httpx.Client, *interactions: dict) -> httpx.Response:
    return client.post("/v1/interactions", json={"interactions": list(interactions)})


def recommended(client: httpx.Client, user_id: str, **parameters: object) -> dict:
    return client.get(f"/v1/users/{user_id}/recommendations", params=parameters).json()


def test_the_very_next_recommendation_excludes_and_reflects_an_interaction(client):
    user = unique("user")
    before = recommended(client, user, k=100)
    assert post(client, {"user_id": user, "item_id": "50"}).status_code == 202
    after = recommended(client, user, k=100)

    assert (before["strategy"], after["strategy"]) == ("popular", "recent")
    assert "50" not in {item["item_id"] for item in after["items"]}


def test_a_known_users_fresh_click_is_excluded_and_reflected(client):
    first = recommended(client, "244")["items"][0]["item_id"]
    post(client, {"user_id": "244", "item_id": first})
    after = recommended(client, "244", k=100)

    assert (after["strategy"], after["case"]) == ("recent", "I")
    assert first not in {item["item_id"] for item in after["items"]}


def test_a_repeated_event_id_counts_once(client):
    user, event = unique("user"), unique("event")
    interaction = {"user_id": user, "item_id": "50", "event_id": event}

    assert post(client, interaction, interaction).json() == {"accepted": 1, "duplicates": 1}
    assert post(client, interaction).json() == {"accepted": 0, "duplicates": 1}
    assert len(client.get(f"/v1/users/{user}/interactions").json()["interactions"]) == 1


def test_one_bad_interaction_refuses_all_and_changes_nothing(client):
    user = unique("user")
    answer = post(client, {"user_id": user, "item_id": "50"}, {"user_id": user, "item_id": "51", "weight": -1})

    assert answer.status_code == 422
    assert "interactions[1]" in answer.json()["errors"][0]["loc"]
    assert client.get(f"/v1/users/{user}/interactions").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b'{"interactions":[{"user_id":"x","item_id":"1","weight":NaN}]}',
        b'{"interactions":[{"user_id":"x","item_id":"1","weight":1e999}]}',
        b'{"interactions":[{"user_id":"\\ud800","item_id":"1"}]}',
        b'{"interactions":[{"user_id":"x","item_id":"1","timestamp":"yesterday"}]}',
        b'{"interactions":[{"user_id":"x","item_id":"1","timestamp":-5}]}',
        b'{"interactions":[{"user_id":1,"item_id":"1"}]}',
        b'{"interactions":[{"user_id":"x"}]}',
        b'{"interactions":[{"user_id":"x","item_id":"1","wieght":1}]}',
        b'{"interactions":[]}',
        b"[" * 100_000,
        b'{"interactions":' + b"9" * 5000 + b"}",
        b"\xff\xfe",
        b"",
    ],
)
def test_a_malformed_body_is_refused_with_its_reason(client, body):
    answer = client.post("/v1/interactions", content=body)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 1000


def test_a_body_that_is_too_large_is_refused_with_and_without_a_length(client):
    def chunks():
        for _ in range(17):
            yield b" " * 2**20

    assert client.post("/v1/interactions", content=b" " * (16 * 2**20 + 1)).status_code == 413
    assert client.post("/v1/interactions", content=chunks()).status_code == 413


def test_a_body_that_is_no_json_is_an_unsupported_media_type(client):
    answer = client.post("/v1/interactions", content=b"a=1", headers={"content-type": "text/plain"})

    assert answer.status_code == 415


def test_a_user_is_created_replaced_read_and_deleted(client):
    path = f"/v1/users/{unique('user')}"
    created = client.put(path, json={"features": {"age": 24, "score": 1.5, "vip": True, "tags": ["a", "b"]}})
    replaced = client.put(path, json={"features": {"age": 25}})

    assert (created.status_code, replaced.status_code) == (201, 200)
    assert created.json()["features"] == {"age": 24, "score": 1.5, "vip": True, "tags": ["a", "b"]}
    assert client.get(path).json() == replaced.json()
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert client.delete(path).status_code == 404


def test_a_users_changed_features_act_on_the_next_request(client):
    user = unique("user")
    client.put(f"/v1/users/{user}", json={"features": {"age": 24, "gender": "M"}})

    assert recommended(client, user)["case"] == "II"
    client.put(f"/v1/users/{user}", json={})
    assert recommended(client, user)["case"] == "IV"


def test_an_id_with_a_slash_and_letters_of_any_script_works(client):
    path = "/v1/users/" + "a%2Fb%20%D0%B6"
    client.put(path, json={"features": {"age": 24}})

    assert client.get(path).json()["user_id"] == "a/b ж"
    assert client.get(path + "/recommendations").json()["user_id"] == "a/b ж"


def test_a_new_item_is_recommendable_within_a_second_by_every_replica(client):
    item = unique("item/new")
    quoted = item.replace("/", "%2F")
    begin = time.monotonic()
    client.put(f"/v1/items/{quoted}", json={"title": "Brand new", "features": {"genres": ["Sci-Fi"]}})
    answers = [
        client.post("/v1/recommendations", json={"requests": [{"user_id": "22", "candidates": [item]}]}).json()
        for _ in range(8)
    ]
    seconds = time.monotonic() - begin

    for answer in answers:
        (found,) = answer["results"][0]["items"]
        assert (found["item_id"], found["case"], found["title"]) == (item, "V", "Brand new")
    assert seconds < 5  # eight answers; each of them after the write


def test_an_unavailable_and_a_deleted_item_are_gone_from_the_next_request_on(client):
    item = unique("item")

    def is_recommended() -> bool:
        asked = {"requests": [{"user_id": "22", "candidates": [item]}]}
        return bool(client.post("/v1/recommendations", json=asked).json()["results"][0]["items"])

    content = {"features": {"genres": ["Comedy"]}}
    client.put(f"/v1/items/{item}", json=content)
    assert is_recommended()
    client.put(f"/v1/items/{item}", json={**content, "available": False})
    assert not is_recommended()
    client.put(f"/v1/items/{item}", json=content)
    assert is_recommended()
    assert client.delete(f"/v1/items/{item}").status_code == 204
    assert not is_recommended()


def test_a_known_item_that_becomes_unavailable_is_gone_and_comes_back(client):
    item = client.get("/v1/items/100").json()

    client.put("/v1/items/100", json={**item, "available": False})
    gone = client.get("/v1/popular", params={"k": 1000}).json()["items"]
    client.put("/v1/items/100", json={**item, "available": True})
    back = client.get("/v1/popular", params={"k": 1000}).json()["items"]

    assert "100" not in {each["item_id"] for each in gone}
    assert "100" in {each["item_id"] for each in back}


def test_deleting_a_user_makes_them_a_stranger(client):
    assert recommended(client, "300")["case"] == "I"
    assert client.delete("/v1/users/300").status_code == 204
    answer = recommended(client, "300")

    assert (answer["strategy"], answer["case"]) == ("popular", "IV")
    assert client.get("/v1/users/300/interactions").status_code == 404


def test_pages_show_every_item_once(client):
    found, cursor = [], None
    while True:
        page = client.get("/v1/items", params={"limit": 500, **({"cursor": cursor} if cursor else {})}).json()
        found += [item["item_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert len(found) == len(set(found))
    assert {"1", "50", "1682"} <= set(found)


def test_a_batch_of_users_is_put_whole_or_not_at_all(client):
    good, other = unique("user"), unique("user")
    refused = client.post("/v1/users", json={"users": [{"user_id": good}, {"user_id": "\x00"}]})
    taken = client.post("/v1/users", json={"users": [{"user_id": good}, {"user_id": other}]})

    assert refused.status_code == 422
    assert taken.json() == {"created": 2, "updated": 0}


def test_interactions_are_listed_newest_first_page_by_page(client):
    user = unique("user")
    post(client, *({"user_id": user, "item_id": str(n), "timestamp": 1000 + n} for n in range(5)))
    first = client.get(f"/v1/users/{user}/interactions", params={"limit": 3}).json()
    second = client.get(f"/v1/users/{user}/interactions", params={"limit": 3, "cursor": first["next_cursor"]}).json()

    assert [each["item_id"] for each in first["interactions"]] == ["4", "3", "2"]
    assert [each["item_id"] for each in second["interactions"]] == ["1", "0"]
    assert second["next_cursor"] is None


def test_a_dense_vector_is_read_back_and_one_of_another_length_is_refused_with_both(client):
    name, item, user = unique("look"), unique("item"), unique("user")
    vector = [0.12, -0.5, 0.25, 1]
    put = client.put(f"/v1/items/{item}", json={"features": {name: vector, "genres": ["Comedy"]}})
    refused = [
        client.put(f"/v1/items/{unique('item')}", json={"features": {name: vector[:3]}}),
        client.post("/v1/items", json={"items": [{"item_id": unique("item"), "features": {name: [0.5, 1.5]}}]}),
        client.put(f"/v1/items/{unique('item')}", json={"features": {name: "hello"}}),
        client.post("/v1/rank", json={"items": [{"item_id": "x", "features": {name: [0.5] * 5}}]}),
    ]
    other = client.put(f"/v1/users/{user}", json={"features": {name: [0.5, 1.5]}})
    asked = client.post("/v1/recommendations", json={"requests": [{"features": {name: [0.5] * 7}}]})
    ranking = client.post("/v1/rank", json={"user_id": "196", "items": [{"item_id": item}]}).json()

    assert (put.status_code, other.status_code) == (201, 201)
    assert client.get(f"/v1/items/{item}").json()["features"][name] == pytest.approx(vector, abs=1e-4)
    assert client.get(f"/v1/users/{user}").json()["features"] == {name: [0.5, 1.5]}
    assert [each.status_code for each in refused] == [422] * 4
    for answer, here in zip(refused, ("3 numbers", "2 numbers", "text or a number", "5 numbers"), strict=True):
        assert name in answer.json()["detail"]
        assert here in answer.json()["detail"]
        assert "4" in answer.json()["detail"]
    assert asked.status_code == 422
    assert "7 numbers here and of 2 elsewhere" in asked.json()["detail"]
    assert ranking["items"][0]["case"] == "V"
    assert ranking["ignored_features"] == [name]
