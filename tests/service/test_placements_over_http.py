"""Placements and experiments on the running service, over all processes that answer."""

import httpx

from lightfm_serve.records.assignment import variant_of
from tests.support.waiting import wait_for

USERS = [str(number) for number in range(1, 41)]


def items(client: httpx.Client, user_id: str, **params: object) -> dict:
    answer = client.get(f"/v1/users/{user_id}/recommendations", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_placement_acts_on_the_next_request_and_its_experiment_splits_users_as_the_client_says(client):
    ranked = items(client, "1", k=50)["items"]
    pinned = ranked[30]["item_id"]
    for k in (3, 5, 7):
        settings = {"k": k, "rules": [{"pin": pinned, "position": 2}]}
        assert client.put("/v1/placements/shop", json=settings).status_code in (200, 201)
        for _ in range(10):
            found = items(client, "1", placement="shop")
            assert (len(found["items"]), found["items"][1]["item_id"], found["placement"]) == (k, pinned, "shop")
    shares = [("control", 0.5), ("two", 0.5)]
    variants = [{"name": "control", "share": 0.5}, {"name": "two", "share": 0.5, "settings": {"k": 2}}]
    body = {"placement": "shop", "variants": variants, "min_exposures": 10}
    assert client.put("/v1/experiments/shop-two", json=body).status_code == 201
    for user_id in USERS:
        found = items(client, user_id, placement="shop")
        assert found["experiment"] == {"name": "shop-two", "variant": variant_of("shop-two", "", user_id, shares)}
        assert len(found["items"]) == (2 if found["experiment"]["variant"] == "two" else 7)

    def all_counted() -> bool:
        figures = client.get("/v1/experiments/shop-two").json()["variants"]
        return sum(each["users"] for each in figures) == len(USERS)

    wait_for(all_counted, 60)
    assert client.post("/v1/experiments/shop-two/end", json={"ship": "two"}).status_code == 200
    assert len(items(client, "1", placement="shop")["items"]) == 2
    assert client.get("/v1/users/1/recommendations?placement=nowhere").status_code == 404
