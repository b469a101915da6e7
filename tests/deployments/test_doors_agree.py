"""Values as people have them, mixed at random: whatever door they come through, the model sees the same.

The doors are the library (`FeatureSpace`, `SparseFrame`), a call of the client and a frame of the client, the last two
as the schemas of the service decode what they send.
"""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployments.http import schemas
from deployments.http.body_reader import decode
from deployments.http.routes.parameters import id_of
from lightfm_serve.client import endpoints
from lightfm_serve.client.dataframes import calls_of
from lightfm_serve.records.values import is_missing
from recommender.feature_space import FeatureSpace, tokens
from recommender.sparse_frame import SparseFrame

words = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=6)
spelt = (
    words
    | words.map(lambda word: f" {word}\t")
    | st.sampled_from(["é", "e\u0301", "\ufeffa", "NULL", "nan", "-", "02100"])
)
whole = st.integers(-(2**53), 2**53)
floats = st.floats(allow_nan=False, allow_infinity=False, width=32)
scalars = (
    spelt
    | st.booleans()
    | st.booleans().map(np.bool_)
    | whole
    | st.integers(-128, 127).map(np.int8)
    | whole.map(np.int64)
    | floats
    | floats.map(np.float32)
    | st.decimals(-1000, 1000, places=2)
    | st.dates(date(1970, 1, 1))
    | st.datetimes(datetime(1970, 1, 1))
    | st.uuids()
)
missing = st.sampled_from([None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, Decimal("nan")])
members = st.lists(words.filter(str.strip), min_size=1, max_size=3)
lists = members | members.map(tuple) | members.map(frozenset) | members.map(lambda each: np.array(each, object))
numbers = st.lists(floats | whole.filter(lambda number: abs(number) < 2**40), min_size=2, max_size=5).filter(
    lambda each: any(isinstance(number, float) for number in each)
)
vectors = (
    numbers
    | numbers.map(tuple)
    | numbers.map(np.array)
    | numbers.map(lambda each: np.array(each, np.float32))
    | numbers.map(lambda each: [np.float32(number) for number in each])
)
strange = st.sampled_from(
    [float("inf"), np.float64("-inf"), b"a", {"a": 1}, [["a"]], [1.5], [None], 1 + 2j]
) | st.sampled_from(
    [
        [0.5, "a"],
        [0.5, True],
        [0.5, None],
        [0.5, float("nan")],
        np.array([1.0, np.inf]),
        np.array([[0.5, 1.5]]),
        [0.5, 1e39],
    ]
)
values = scalars | missing | lists | vectors | strange

Labels = list[str] | None
"""Columns that a value fell into; None where it was refused."""


def in_library(value: Any) -> Labels:
    return in_library_of({"x": value})


def in_call(value: Any) -> Labels:
    return _served(endpoints.put_user("u", {"x": value}), schemas.UserBody, lambda body: body.features)


def in_frame(value: Any) -> Labels:
    column = np.empty(1, object)
    column[0] = value
    frame = pd.DataFrame({"user_id": ["u"], "x": pd.Series(column, dtype=object)})
    [call] = calls_of(None, frame, None, missing=())
    return _served(call, schemas.UserBodies, lambda body: body.users[0].features)


def _served(call: endpoints.Call, kind: Any, features: Callable[[Any], Any]) -> Labels:
    return in_library_of(features(decode(call.body or b"", msgspec.json.Decoder(kind))))


def in_library_of(features: Any) -> Labels:
    space = FeatureSpace.empty().extended([features])
    found = [(name, vector.data.hex()) for name, own in space.new_vectors([features]).items() for _, vector in own]
    return [*sorted(space.names), *(f"{name}#{data}" for name, data in found)]


def through(door: Callable[[Any], Labels], value: Any) -> Labels:
    try:
        return door(value)
    except ValueError as error:
        if "'x'" not in str(error):
            raise AssertionError("whoever refuses names the feature") from error
        return None


@given(values)
@example(("a", "b"))
@example({"b", "a"})
@example(np.array([1, 2]))
@example(2**60)
@example([0.25, 1])
@example(np.array([0.1, -2.5], np.float32))
def test_a_value_is_the_same_feature_through_every_door(value):
    found = {door.__name__: through(door, value) for door in (in_library, in_call, in_frame)}

    assert found["in_library"] == found["in_call"] == found["in_frame"], found


@given(values)
def test_a_filter_finds_a_value_if_and_only_if_the_model_learned_it(value):
    labels = through(in_library, value)
    if labels is not None and not any(
        label.startswith("x#") for label in labels
    ):  # no filter asks for the numbers of a vector
        assert bool(tokens({"x": value})) == bool(in_library(value))


plain_ids = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40).filter(
    # a frame takes what stands for a missing value, such as "n/a", for one; a body is taken at its word
    lambda text: text == text.strip() and text.isascii() and not is_missing(text)
)
ids = (
    plain_ids
    | st.integers(-(2**53), 2**53)
    | whole.map(np.int64)
    | whole.map(float)
    | st.uuids()
    | st.sampled_from([".", "..", "a/b", "02100", "5863.0"])
)
no_ids = st.sampled_from([None, float("nan"), pd.NA, 1.5, True, np.bool_(False), b"a", 2.0**60])


def id_in_library(value: Any) -> str:
    return SparseFrame.from_interactions([value], ["i"]).rows[0]


def id_in_path(value: Any) -> str:
    return id_of(endpoints.recommend(value).path.split("/")[3], "user_id")


def id_in_body(value: Any) -> str | None:
    body = endpoints.rank(["i"], user_id=value).body if value is not None else b'{"items":["i"],"user_id":5}'
    return decode(body or b"", msgspec.json.Decoder(schemas.RankRequest)).user_id


def id_in_frame(value: Any) -> str:
    frame = pd.DataFrame({"user_id": pd.Series([value], dtype=object), "item_id": ["i"]})
    [call] = calls_of(frame, None, None)
    return decode(call.body or b"", msgspec.json.Decoder(schemas.InteractionBodies)).interactions[0].user_id


ID_DOORS = [id_in_library, id_in_path, id_in_body, id_in_frame]


@given(ids)
@example(UUID(int=1))
def test_an_id_is_the_same_through_every_door(value):
    found = {door.__name__: door(value) for door in ID_DOORS}

    assert len(set(found.values())) == 1, found


@given(no_ids)
@pytest.mark.parametrize("door", ID_DOORS, ids=lambda door: door.__name__)
def test_what_is_no_id_is_refused_at_every_door(door, value):
    with pytest.raises(Exception, match="id") as caught:
        door(value)

    assert type(caught.value).__name__ in ("InvalidDataError", "ValueError", "Problem")
