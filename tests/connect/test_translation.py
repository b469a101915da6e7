"""What a record becomes, and why one cannot be taken."""

from __future__ import annotations

import json
import time

import pytest

from lightfm_serve.connect.source import StreamRecord
from lightfm_serve.connect.translation import Translation
from recommender.datasets.schema import Schema

NOW_MS = 1_790_000_000_250


def kafka(value: object, offset: int = 5, timestamp_ms: int | None = NOW_MS) -> StreamRecord:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return StreamRecord("kafka", "clicks/3", str(offset), content, None, timestamp_ms)


def test_a_record_without_a_time_happened_when_it_was_written():
    body = Translation().body(kafka({"user_id": "u", "item_id": 5}))

    assert body is not None
    assert (body["item_id"], body["timestamp"]) == ("5", NOW_MS / 1_000)


def test_a_clock_of_the_broker_that_is_days_ahead_is_not_believed():
    ahead = int((time.time() + 3 * 86_400) * 1_000)

    assert "timestamp" not in Translation().body(kafka({"user_id": "u", "item_id": "i"}, timestamp_ms=ahead))


def test_an_event_id_is_the_records_own_where_it_has_one():
    assert Translation().body(kafka({"user_id": "u", "item_id": "i", "event_id": "e"}))["event_id"] == "e"


def test_a_record_that_is_delivered_again_has_the_same_event_id():
    assert kafka({"a": 1}).event_id() == kafka({"a": 1}).event_id()


def test_another_record_at_the_same_place_of_a_topic_that_was_made_anew_has_another_event_id():
    assert len({kafka({"a": 1}).event_id(), kafka({"a": 2}).event_id(), kafka({"a": 1}, 5, 7).event_id()}) == 3


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"user_id": "u"}, "no field 'item_id'"),
        ({"user_id": "u", "movieId": "i"}, "did you mean 'movieId'"),
        ({"user_id": "u", "item_id": "i", "wieght": 2}, "did you mean 'weight'"),  # codespell:ignore
        ({"user_id": "NULL", "item_id": "i"}, "the id is missing"),
        ({"user_id": "u", "item_id": {"a": 1}}, "an id is text or a whole number"),
        ({"user_id": "u", "item_id": "i", "weight": 0}, "a weight is a number above 0"),
        ({"user_id": "u", "item_id": "i", "timestamp": NOW_MS}, "say --timestamp-unit"),
        ({"user_id": "u", "item_id": "i", "event": ""}, "is not 1 to 128 letters"),
        (b"\xff", "no JSON"),
        (b"3", "no JSON object"),
        (b"[" * 100_000, "no JSON"),
    ],
)
def test_a_record_that_can_never_be_taken_says_why(fields, fault):
    with pytest.raises(ValueError, match=fault):
        Translation().body(kafka(fields))


def test_two_fields_of_one_name_are_refused():
    translation = Translation(schema=Schema(names={"userId": "user_id"}))

    with pytest.raises(ValueError, match="two fields of the record are 'user_id'"):
        translation.body(kafka({"userId": "u", "user_id": "v", "item_id": "i"}))


def test_an_item_says_where_its_features_belong():
    with pytest.raises(ValueError, match="features stand in one object"):
        Translation("items").body(kafka({"item_id": "i", "genre": "Drama"}))


def test_numbers_of_an_entry_are_read_from_its_text_and_empty_fields_left_out():
    entry = {"user_id": "7", "item_id": "8", "weight": "2.5", "timestamp": "1700000000", "event": ""}
    body = Translation().body(StreamRecord("redis", "clicks", "1-0", entry, timestamp_ms=1))

    assert (body["weight"], body["timestamp"], "event" in body) == (2.5, 1.7e9, False)
