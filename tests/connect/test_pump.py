"""The pump in this process: a scripted service, a source in memory."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from lightfm_serve import Client
from lightfm_serve.client.retries import Retries
from lightfm_serve.connect.dead_letters import DeadLetterFile
from lightfm_serve.connect.delivery import Delivery
from lightfm_serve.connect.errors import StreamError
from lightfm_serve.connect.meters import Meters
from lightfm_serve.connect.pump import Pump, PumpSettings
from lightfm_serve.connect.source import StreamRecord
from lightfm_serve.connect.translation import Translation
from tests.support.scripted_server import HANG_UP, Reply, accepting, problem, with_request_ids


def record(n: int, **fields: object) -> StreamRecord:
    return StreamRecord("kafka", "t/0", str(n), json.dumps({"user_id": "u", "item_id": f"i{n}", **fields}).encode())


class MemorySource:
    at_end = True

    def __init__(self, *batches: list[StreamRecord]) -> None:
        self.batches, self.committed, self.waited = list(batches), [], 0.0

    def read(self, _most, _wait_s):
        return self.batches.pop(0) if self.batches else []

    def commit(self, records):
        self.committed += records

    def wait(self, seconds):
        self.waited += seconds

    def lag(self):
        return {}

    def close(self):
        pass


def pump(url, source, path, kind="interactions", most_dead=100, is_stopping=lambda: False):
    meters = Meters("kafka")
    with Client(url, retries=Retries(attempts=1)) as client, closing(DeadLetterFile(path)) as letters:
        delivery = Delivery(client, kind, source.wait, is_stopping, meters)
        parts = (source, Translation(kind), delivery, letters, meters)
        Pump(*parts, PumpSettings(until_end=True, stop_after_dead=most_dead), is_stopping).run()
    return meters.counts


def letters_in(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_service_that_is_busy_or_breaks_off_gets_the_same_batch_until_it_takes_it(tmp_path):
    replies = [problem(503, retry_after="0"), problem(429, retry_after="0"), HANG_UP, Reply(500), None]
    source = MemorySource([record(0), record(1)])

    with with_request_ids(lambda asked: replies.pop(0) or accepting(asked)) as talk:
        counts = pump(talk.url, source, tmp_path / "dead.jsonl")

    assert len(talk.asked) == 5
    assert all(each.body == talk.asked[0].body for each in talk.asked)
    assert len(source.committed) == 2
    assert counts["sent"] == 2
    assert source.waited > 0


@pytest.mark.parametrize("names_it", [True, False])
def test_a_body_that_the_service_refuses_is_a_dead_letter_and_the_others_arrive(tmp_path, names_it):
    def answer(asked):
        items = [each["item_id"] for each in asked.body["interactions"]]
        if "i3" not in items:
            return accepting(asked)
        loc = f"body.interactions[{items.index('i3')}].item_id" if names_it else "body"
        return problem(422, "no", [{"loc": loc, "msg": "not that one"}])

    source = MemorySource([record(n) for n in range(8)])
    with with_request_ids(answer) as talk:
        counts = pump(talk.url, source, tmp_path / "dead.jsonl")

    (letter,) = letters_in(tmp_path / "dead.jsonl")
    assert letter["source"] == "kafka t/0@3"
    assert "not that one" in letter["reason"]
    assert json.loads(letter["record"])["item_id"] == "i3"
    assert (counts["sent"], counts["dead_letters"], len(source.committed)) == (7, 1, 8)


def test_a_key_that_is_not_valid_ends_it_with_nothing_committed(tmp_path):
    source = MemorySource([record(0)])

    with with_request_ids(lambda _: problem(401)) as talk, pytest.raises(StreamError, match="nothing was lost"):
        pump(talk.url, source, tmp_path / "dead.jsonl")

    assert source.committed == []


def test_dead_letters_in_a_row_end_it_before_the_last_batch_is_committed(tmp_path):
    bad = [StreamRecord("kafka", "t/0", str(n), b"no") for n in range(6)]
    source = MemorySource(bad[:3], bad[3:])

    with with_request_ids(accepting) as talk, pytest.raises(StreamError, match="none of the last 6 records"):
        pump(talk.url, source, tmp_path / "dead.jsonl", most_dead=5)

    assert source.committed == bad[:3]
    assert len(letters_in(tmp_path / "dead.jsonl")) == 3


def test_one_good_record_among_dead_letters_lets_it_go_on(tmp_path):
    bad = [StreamRecord("kafka", "t/0", str(n), b"no") for n in range(6)]
    source = MemorySource([*bad[:3], record(9)], bad[3:])

    with with_request_ids(accepting) as talk:
        counts = pump(talk.url, source, tmp_path / "dead.jsonl", most_dead=5)

    assert counts["dead_letters"] == 6


def test_of_an_item_that_is_put_twice_in_a_batch_the_last_counts(tmp_path):
    source = MemorySource(
        [StreamRecord("kafka", "t/0", str(n), json.dumps({"item_id": "a", "title": str(n)}).encode()) for n in range(3)]
    )

    with with_request_ids(accepting) as talk:
        pump(talk.url, source, tmp_path / "dead.jsonl", kind="items")

    assert talk.of("/v1/items") == [{"items": [{"item_id": "a", "title": "2", "available": True, "features": {}}]}]


def test_a_line_that_a_death_left_half_written_does_not_spoil_the_next(tmp_path):
    path = tmp_path / "dead.jsonl"
    path.write_text('{"reason": "hal')

    with with_request_ids(accepting) as talk:
        pump(talk.url, MemorySource([StreamRecord("kafka", "t/0", "0", b"\xff"), record(1)]), path)

    half, whole = path.read_text().splitlines()
    assert half == '{"reason": "hal'
    assert json.loads(whole)["record_base64"] == "/w=="
