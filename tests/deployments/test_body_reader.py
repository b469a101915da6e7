"""Faults of bodies, without a service: each says where, what, and what would be right."""

import time
from itertools import product

import msgspec
import pytest

from deployments.http import schemas
from deployments.http.body_reader import decode
from deployments.http.problems import Problem


def refusal(kind, body: str | bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        decode(body.encode() if isinstance(body, str) else body, msgspec.json.Decoder(kind))
    assert caught.value.status == 422
    return caught.value


@pytest.mark.parametrize(
    ("kind", "body", "loc"),
    [
        (schemas.UserBody, '{"features":{"fine":1,"age":null}}', "body.features.age"),
        (schemas.UserBody, '{"features":{"fine":1,"age":1e999}}', "body.features.age"),
        (schemas.UserBody, '{"features":{"age":18446744073709551616}}', "body.features.age"),
        (schemas.ItemBodies, '{"items":[{"item_id":"a"},{"item_id":"b","features":{"x":1,"y":{}}}]}', "body.items[1]"),
        (schemas.ItemBody, '{"features":{"fine":["a"],"tags":["a",true]}}', "body.features.tags[1]"),
        (schemas.RecommendationRequests, '{"requests":[{},{"boost":{"a:b":"x"}}]}', "body.requests[1].boost.a:b"),
        (schemas.RankRequest, '{"items":["a",{"item_id":"b","features":{"y":{}}}]}', "body.items[1].features.y"),
    ],
)
def test_a_bad_feature_is_named(kind, body, loc):
    assert refusal(kind, body).errors[0]["loc"].startswith(loc)


def test_a_list_that_mixes_categories_and_numbers_is_named():
    body = '{"features":{"fine":["a"],"tags":["a",1.5]}}'
    assert "the list of feature 'tags' mixes text and numbers" in str(refusal(schemas.ItemBody, body))


def test_a_name_of_any_length_is_not_repeated():
    assert len(str(refusal(schemas.UserBody, '{"features":{"%s":null}}' % ("x" * 5000)))) < 300


@pytest.mark.parametrize(
    ("kind", "body", "meant"),
    [
        (schemas.RecommendationRequests, '{"requests":[{},{"filters":["a:b"]}]}', "did you mean 'filter'?"),
        (schemas.InteractionBodies, '{"interactions":[{"user_id":"u","itemId":"i"}]}', "did you mean 'item_id'?"),
        (schemas.UserBody, '{"feature":{}}', "did you mean 'features'?"),
        (schemas.RankRequest, '{"items":[{"item":"x"}]}', "did you mean 'item_id'?"),
        (schemas.TrainRequest, '{"mode":"fast"}', "'full', 'incremental'"),
        (schemas.RecommendationRequests, '{"requests":[{"fallback":"pop"}]}', "'popular', 'none'"),
    ],
)
def test_what_was_meant_is_named(kind, body, meant):
    assert meant in str(refusal(kind, body))


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ('{\n  "features": {"a": 1,}\n}', "line 2, column 23"),
        ('{"features":{"a":NaN}}', "line 1, column 18"),
        ("/* */ {}", "line 1, column 1"),
        ('{"features"', "ends too early"),
        ("", "ends too early"),
    ],
)
def test_malformed_json_is_shown_its_place(body, place):
    assert place in str(refusal(schemas.UserBody, body))


def at(timestamp: object) -> bytes:
    row = {"user_id": "u", "item_id": "i", "timestamp": timestamp}
    return msgspec.json.encode({"interactions": [row]})


@pytest.mark.parametrize(
    ("timestamp", "words"),
    [
        (1_700_000_000_000, "milliseconds"),
        (1_700_000_000_000_000, "microseconds"),
        pytest.param(time.time() + 2 * 86_400, "future", id="in two days"),
        ("2999-01-01T00:00:00Z", "future"),
        ("2024-W01", "RFC 3339"),
        ("2024-W01-1", "RFC 3339"),
        ("20240101", "RFC 3339"),
        ("1700000000", "RFC 3339"),
        ("yesterday", "RFC 3339"),
        ("2024-13-01", "RFC 3339"),
        ("1969-12-31T00:00:00Z", "1970"),
    ],
)
def test_a_timestamp_that_is_none_is_refused_with_what_it_looks_like(timestamp, words):
    problem = refusal(schemas.InteractionBodies, at(timestamp))

    assert words in str(problem)
    assert problem.errors[0]["loc"] == "body.interactions[0]"
    assert str(timestamp) not in str(problem)


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [
        *((f"2024-01-02{t}00:00:00{z}", 1_704_153_600.0) for t, z in product("Tt ", ["Z", "z", "+00:00", ""])),
        ("2024-01-02", 1_704_153_600.0),
        ("2016-12-31T23:59:60Z", 1_483_228_799.0),
        ("2024-01-02T01:00:00.5+01:00", 1_704_153_600.5),
        (1_704_153_600, 1_704_153_600.0),
    ],
)
def test_a_timestamp_is_seconds_or_rfc_3339_in_capitals_or_not(timestamp, seconds):
    [row] = decode(at(timestamp), msgspec.json.Decoder(schemas.InteractionBodies)).interactions

    assert row.interaction().timestamp == seconds


@pytest.mark.parametrize("kind", [schemas.UserBody, schemas.ItemBodies, schemas.RecommendationRequests])
@pytest.mark.parametrize(
    "inside", ["%s", '{"features":%s', '{"items":[{"features":{"a":%s', '{"requests":[{"boost":{"a":%s']
)
@pytest.mark.parametrize("bracket", ["[", '{"a":', '{"features":'])
def test_what_is_nested_deep_is_refused_as_anything_else(kind, inside, bracket):
    refusal(kind, inside % (bracket * 20_000))
