"""The client takes ids and features as notebooks have them, and names what it cannot take."""

import json
from datetime import date
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from lightfm_serve import Client, Interaction, Item, RankItem, Request
from lightfm_serve.client import endpoints
from lightfm_serve.client.dataframes import calls_of
from tests.support.scripted_server import Reply, accepting, with_request_ids

SOMEONE = UUID("12345678-1234-5678-1234-567812345678")


def body(call: endpoints.Call) -> dict:
    return json.loads(call.body)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (196, "/v1/users/196/recommendations"),
        (np.int64(196), "/v1/users/196/recommendations"),
        (196.0, "/v1/users/196/recommendations"),
        (SOMEONE, f"/v1/users/{SOMEONE}/recommendations"),
        (".", "/v1/users/%2E/recommendations"),
        ("..", "/v1/users/%2E%2E/recommendations"),
        ("a/b", "/v1/users/a%2Fb/recommendations"),
        ("...", "/v1/users/.../recommendations"),
    ],
)
def test_an_id_of_any_kind_stands_in_a_path(given, path):
    empty = Reply(200, {"items": [], "model_version": "1"} | dict.fromkeys(("user_id", "strategy", "case"), "x"))
    empty.body["recommendation_id"] = "r"
    with with_request_ids(lambda _: empty) as talk, Client(talk.url) as client:
        client.recommend(given, k=1)

    assert endpoints.recommend(given).path == path
    assert [asked.path.partition("?")[0] for asked in talk.asked] == [path]


@pytest.mark.parametrize("given", [None, float("nan"), 1.5, True, b"a"])
def test_what_is_no_id_is_refused_before_anything_is_sent(given):
    with pytest.raises(ValueError, match="id"):
        _ = endpoints.recommend(given).path


def test_a_filter_or_an_id_that_stands_alone_is_one():
    assert ("filter", "genres:Horror") in endpoints.recommend("196", filter="genres:Horror").query
    assert ("filter", "genres:Horror") in endpoints.popular(filter="genres:Horror").query
    assert body(endpoints.rank("tea"))["items"] == ["tea"]
    assert body(endpoints.rank([1, SOMEONE], recent=7, user_id=5)) == {
        "items": ["1", str(SOMEONE)],
        "recent": ["7"],
        "user_id": "5",
    }
    for one in ({"filter": "a:b", "recent": 5, "exclude": "x"}, Request(filter="a:b", recent=5, exclude="x")):  # type: ignore[arg-type]
        [asked] = body(endpoints.recommend_many([one]))["requests"]
        assert (asked["filter"], asked["recent"], asked["exclude"]) == (["a:b"], ["5"], ["x"])


def test_bodies_have_plain_ids_and_features():
    features = {"age": np.int64(24), "tags": ("a", "b"), "vip": np.bool_(True), "gone": None, "price": float("nan")}
    plain = {"age": 24, "tags": ["a", "b"], "vip": True}

    assert body(endpoints.put_user("a", features))["features"] == plain
    assert body(endpoints.put_item("a", features=features))["features"] == plain
    for item in ({"item_id": 5, "features": features}, Item(item_id=5, features=features)):  # type: ignore[arg-type]
        assert body(endpoints.put_items([item]))["items"] == [{"item_id": "5", "features": plain}]
    assert body(endpoints.rank([RankItem(item_id=5, features=features)]))["items"] == [
        {"item_id": "5", "features": plain}
    ]  # type: ignore[arg-type]
    for click in ({"user_id": 1, "item_id": 2, "event_id": "e"}, Interaction(user_id=1, item_id=2, event_id="e")):  # type: ignore[arg-type]
        [sent] = body(endpoints.add_interactions([click]))["interactions"]
        assert (sent["user_id"], sent["item_id"]) == ("1", "2")


def test_a_bad_feature_is_named():
    with pytest.raises(ValueError, match=r"feature 'colour': .* is neither text"):
        endpoints.put_user("a", {"colour": {"a": 1}})


def sent(**frames: pd.DataFrame) -> list[dict]:
    return [body(call) for call in calls_of(frames.get("interactions"), frames.get("users"), frames.get("items"))]


def clicks(**changes) -> pd.DataFrame:
    columns = {"user_id": ["ann", "bob"], "item_id": ["50", "51"], **changes}
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})


def test_a_frame_is_cleaned_as_a_file_is():
    [page] = sent(
        interactions=clicks(user_id=[" ann", 5.0], timestamp=["2024-01-01", 1_704_067_200], weight=["2", None])
    )
    first, second = page["interactions"]

    assert (first["user_id"], second["user_id"]) == ("ann", "5")
    assert (first["timestamp"], second["timestamp"]) == (1_704_067_200, 1_704_067_200)
    assert (first["weight"], "weight" in second) == (2.0, False)
    [page] = sent(items=pd.DataFrame({"item_id": [990005863.0], "born": [date(2026, 1, 2)], "size": [np.nan]}))
    assert page["items"] == [{"item_id": "990005863", "features": {"born": "2026-01-02"}}]


def test_what_stands_for_missing_can_be_told():
    frame = pd.DataFrame({"user_id": ["a", "b"], "country": ["NA", "nl"]})

    assert [user["features"] for user in sent(users=frame)[0]["users"]] == [{}, {"country": "nl"}]
    [call] = calls_of(None, frame, None, missing=())
    assert [user["features"] for user in body(call)["users"]] == [{"country": "NA"}, {"country": "nl"}]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (clicks(user_id=["ann", None]), "interactions, row 1, column 'user_id': the id is missing"),
        (clicks(user_id=["ann", float("nan")]), "interactions, row 1, column 'user_id': the id is missing"),
        (clicks(item_id=["NULL", "1"]), "interactions, row 0, column 'item_id': the id is missing"),
        (clicks(item_id=[1.5, "1"]), "interactions, row 0, column 'item_id'.*1.5"),
        (clicks(timestamp=[1, "yesterday"]), "interactions, row 1, column 'timestamp'.*yesterday"),
        (clicks(timestamp=[1, 1_700_000_000_000]), "interactions, row 1, column 'timestamp'.*milliseconds"),
        (clicks(weight=[1, "many"]), "interactions, row 1, column 'weight'.*many"),
        (clicks(weight=[1, 1e39]), "interactions, row 1, column 'weight'"),
        (clicks(weight=[1, 0]), "interactions, row 1, column 'weight'"),
        (clicks(wieght=[1, 1]), "did you mean 'weight'"),
        (clicks().rename(columns={"user_id": "User_ID"}), "did you mean 'User_ID'"),
    ],
)
def test_a_bad_cell_of_a_frame_is_named_with_its_row_and_column(frame, words):
    with pytest.raises(ValueError, match=words):
        sent(interactions=frame)


def test_a_bad_feature_of_a_frame_is_named_with_its_row():
    frame = pd.DataFrame({"user_id": ["a", "b"], "colour": ["red", {"a": 1}]})

    with pytest.raises(ValueError, match="users, row 1, feature 'colour'"):
        sent(users=frame)


def test_a_frame_arrives():
    with with_request_ids(accepting) as talk, Client(talk.url) as client:
        done = client.import_frame(clicks(timestamp=["2022-01-01", None]))

    assert done.accepted == 2
    assert talk.of("/v1/interactions")[0]["interactions"][0]["timestamp"] == 1_640_995_200
