"""Entries of Redis Streams, taken by real processes into a real store."""

from __future__ import annotations

import json
import random
import signal
import time

import pytest

from tests.connect.conftest import wait_until
from tests.support.store_servers import raw


@pytest.fixture
def stream_url(server):
    url = server.tcp_url.replace("/0", "/1")
    with raw(url) as client:
        client.flushdb()
    return url


def words_for(stream_url: str) -> tuple[str, ...]:
    return ("redis", "--stream-url", stream_url, "--stream", "clicks")


def add(stream_url: str, n: int, first: int = 0) -> None:
    with raw(stream_url) as client, client.pipeline() as pipe:
        for i in range(first, first + n):
            pipe.xadd("clicks", {"user_id": f"u{i % 40}", "item_id": f"i{i}", "weight": "2.5", "event": "buy"})
        pipe.execute()


def pending(stream_url: str) -> int:
    with raw(stream_url) as client:
        groups = client.xinfo_groups("clicks")
        return groups[0]["pending"] + (groups[0]["lag"] or 0) if groups else client.xlen("clicks")


def test_every_entry_is_in_the_log_once_whatever_kills_the_connector(stream_url, service, connect):
    add(stream_url, 2_000)
    chance, kills = random.Random(3), 0
    while kills < 5:
        running, before = connect(*words_for(stream_url), "--batch", "50"), len(service.log())
        wait_until(lambda before=before: len(service.log()) > before or pending(stream_url) == 0)
        time.sleep(chance.uniform(0, 0.1))
        running.end(signal.SIGKILL)
        kills += 1
    last = connect(*words_for(stream_url), "--until-end")
    assert last.process.wait(120) == 0, last.said()

    log = service.log()
    assert sorted(each.item_id for each in log) == sorted(f"i{i}" for i in range(2_000))
    assert {(each.weight, each.event) for each in log} == {(2.5, "buy")}
    assert pending(stream_url) == 0


def test_entries_of_a_consumer_that_is_gone_are_taken_over(stream_url, service, connect):
    add(stream_url, 30)
    with raw(stream_url) as client:
        client.xgroup_create("clicks", "recommender", "0")
        client.xreadgroup("recommender", "gone", {"clicks": ">"}, count=20)

    running = connect(*words_for(stream_url), "--claim-after", "1")
    wait_until(lambda: len(service.log()) == 30 and pending(stream_url) == 0)

    assert running.end() == 0, running.said()


def test_an_entry_that_can_never_be_taken_is_a_dead_letter_and_can_be_read_again(stream_url, service, connect):
    add(stream_url, 3)
    with raw(stream_url) as client:
        client.xadd("clicks", {"user": "ann", "item_id": "i9"})

    first = connect(*words_for(stream_url), "--until-end", "--dead-letter-stream", "dead")
    assert first.process.wait(120) == 0, first.said()
    with raw(stream_url) as client:
        ((_, dead),) = client.xrange("dead")
    again = ("redis", "--stream-url", stream_url, "--stream", "dead", "--map", "user=user_id", "--ignore", "dead.*")
    second = connect(*again, "--until-end")
    assert second.process.wait(120) == 0, second.said()

    assert dead[b"user"] == b"ann"
    assert b"did you mean 'user'" in dead[b"dead.reason"]
    assert sorted(each.item_id for each in service.log()) == ["i0", "i1", "i2", "i9"]


def test_items_of_a_field_with_json_are_put_the_last_of_each(stream_url, service, connect):
    with raw(stream_url) as client:
        for price in (1, 2):
            item = {"item_id": 50, "title": "Tea", "features": {"price": price, "tags": ["hot"]}}
            client.xadd("clicks", {"data": json.dumps(item)})

    running = connect(*words_for(stream_url), "--kind", "items", "--payload", "data", "--until-end")
    assert running.process.wait(120) == 0, running.said()

    assert service.item("50").features == {"price": 2, "tags": ["hot"]}


def test_a_group_that_has_to_be_there_and_is_not_ends_it(stream_url, connect):
    running = connect(*words_for(stream_url), "--start", "committed")

    assert running.process.wait(60) == 1
    assert "--start earliest makes it" in running.said()
