"""The store hangs, is slow, loses answers, is full: reads go on, writes are refused at once, nothing is lost."""

import collections
import json
import os
import signal
import time

import pytest
import redis

from tests.support.learned import learned_by
from tests.support.rows import FACTOR, Row, failed, percentile, seconds_until
from tests.support.steady_load import SteadyLoad
from tests.support.waiting import settle

pytestmark = pytest.mark.reliability

FIRST_MS = 350
"""A write that is under way when the store begins to hang waits for its own deadline of 250 ms."""


def reading(number: int) -> str:
    return f"/v1/users/u{number % 200}/recommendations"


def writing(number: int) -> bytes:
    event = {"user_id": f"w{number % 50}", "item_id": f"i{number % 100}", "event_id": f"{time.time()}-{number}"}
    return json.dumps({"interactions": [event]}).encode()


def both(house, per_s: float = 60) -> tuple[SteadyLoad, SteadyLoad]:
    port = house.service.port
    return (
        SteadyLoad(port, reading, per_s=per_s),
        SteadyLoad(port, lambda _: "/v1/interactions", body=writing, per_s=per_s / 3, connections=2),
    )


def is_whole(answer) -> bool:
    return answer.status == 200 and not answer.body["degraded"]


def test_while_the_store_hangs_reads_go_on_and_writes_are_refused_at_once(house):
    reads, writes = both(house)
    with reads, writes:
        time.sleep(2)
        began = time.time()
        os.kill(house.store.process.pid, signal.SIGSTOP)
        time.sleep(5 * FACTOR)
        os.kill(house.store.process.pid, signal.SIGCONT)
        ended = time.time()
        time.sleep(3)
    during = [each for each in reads.answers if began < each.at < ended]
    refused = [each for each in writes.answers if began + 0.6 < each.at < ended]
    first = [each for each in writes.answers if began < each.at <= began + 0.6]
    recovery_s = seconds_until(reads.answers, ended, is_whole)
    lost = failed(reads.answers) + failed(refused) + failed(first, FIRST_MS)
    p99 = percentile(during, 0.99)
    note = f"reads p99 {p99:.0f} ms; writes p99 {percentile(refused, 0.99):.0f} ms, the first {len(first)} up to 250 ms"
    Row("store hangs", "SIGSTOP", len(reads.answers) + len(writes.answers), len(lost), None, recovery_s, note).write()

    assert lost == []
    assert {each.status for each in refused} == {503}
    assert all(each.body["degraded"] == ["features"] for each in during if each.at > began + 0.2)
    assert p99 <= 150
    assert recovery_s <= 3


def test_a_slow_store_costs_reads_no_more_than_their_budget(house):
    reads, writes = both(house)
    with reads, writes:
        time.sleep(1)
        house.link.proxy.delay_s = 0.2
        began = time.time()
        time.sleep(4 * FACTOR)
        house.link.proxy.delay_s = 0.0
        ended = time.time()
        time.sleep(2)
    during = [each for each in reads.answers if began < each.at < ended]
    recovery_s = seconds_until(reads.answers, ended, is_whole)
    lost = failed(reads.answers) + failed(writes.answers, FIRST_MS)
    note = f"reads p99 {percentile(during, 0.99):.0f} ms"
    Row("store slow", "+200 ms", len(reads.answers) + len(writes.answers), len(lost), None, recovery_s, note).write()

    assert lost == []
    assert percentile(during, 0.99) <= 150
    assert recovery_s <= 3


def test_answers_that_are_lost_after_the_write_double_nothing_when_the_client_repeats(house):
    sent = [
        {"user_id": f"cut-{number}", "item_id": f"i{number % 100}", "event_id": f"cut-{number}"}
        for number in range(300 * FACTOR)
    ]
    repeated = 0
    with house.service.client() as client:
        settle(client)
    house.link.proxy.cut_share = 0.2
    try:
        with house.service.client() as client:
            for event in sent:
                while client.post("/v1/interactions", json={"interactions": [event]}).status_code != 202:
                    repeated += 1
                    time.sleep(0.02)
    finally:
        house.link.proxy.cut_share = 0.0
    expected = collections.Counter((event["user_id"], event["item_id"]) for event in sent)
    learned = collections.Counter({pair: n for pair, n in learned_by(house.service).items() if pair in expected})
    lost, doubled = expected - learned, learned - expected
    note = f"{doubled.total()} doubled"
    Row("answers of the store are lost", "1 in 5 cut", len(sent) + repeated, 0, lost.total(), None, note).write()

    assert repeated > 10
    assert (lost, doubled) == (collections.Counter(), collections.Counter())


def test_a_full_store_refuses_writes_at_once_reads_on_and_heals(house):
    with redis.Redis(port=house.store.port) as raw:
        reads, writes = both(house)
        with reads, writes:
            time.sleep(1)
            began = time.time()
            raw.config_set("maxmemory", 1_000_000)
            time.sleep(3 * FACTOR)
            raw.config_set("maxmemory", 0)
            ended = time.time()
            time.sleep(2)
    during = [each for each in writes.answers if began + 0.2 < each.at < ended]
    recovery_s = seconds_until(writes.answers, ended, lambda each: each.status == 202)
    lost = failed(reads.answers) + failed(writes.answers)
    Row("store full", "maxmemory", len(reads.answers) + len(writes.answers), len(lost), None, recovery_s).write()

    assert lost == []
    assert {each.status for each in during} == {503}
    assert recovery_s <= 1
