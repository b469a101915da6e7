"""Messages of Kafka, taken by real processes over the real protocol into a real store."""

from __future__ import annotations

import json
import random
import re
import signal
import socket
import uuid

import httpx

from tests.connect.conftest import wait_until


def clicks(first: int, n: int) -> list[bytes]:
    return [json.dumps({"user_id": f"u{i % 40}", "item_id": f"i{i}"}).encode() for i in range(first, first + n)]


def items_of(service) -> list[str]:
    return sorted(each.item_id for each in service.log())


def kafka(broker, connect, topic: str, *more: str):
    """A connector whose group is called like its topic, and which is missed after 6 seconds and not after 45."""
    settings = connect.folder / "kafka.properties"
    settings.write_text("# for a test\nsession.timeout.ms=6000\n")
    words = ("--brokers", broker.address, "--topic", topic, "--group", topic, "--kafka-config", str(settings))
    return connect("kafka", *words, *more)


def a_topic() -> str:
    return f"t-{uuid.uuid4().hex[:8]}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_every_message_is_in_the_log_once_whatever_kills_the_connector(broker, service, connect):
    topic, chance = a_topic(), random.Random(5)
    sent = halfway = 0
    for _ in range(4):  # however fast the machine is: each time there is more than the connector has taken
        broker.produce(topic, clicks(sent, 1_500))
        sent += 1_500
        running = kafka(broker, connect, topic, "--batch", "40")
        goal = len(service.log()) + chance.randrange(1, 800)
        wait_until(lambda goal=goal: len(service.log()) >= goal, every_s=0.002)
        running.end(signal.SIGKILL)
        halfway += broker.committed(topic, topic) < sent
    last = kafka(broker, connect, topic, "--until-end")
    assert last.process.wait(240) == 0, last.said()

    assert halfway > 1
    assert items_of(service) == sorted(f"i{i}" for i in range(sent))
    assert broker.committed(topic, topic) == sent


def test_messages_wait_where_the_service_is_away_and_none_is_lost(broker, service, connect):
    topic, port = a_topic(), free_port()
    broker.produce(topic, clicks(0, 400))
    service.stop()

    running = kafka(broker, connect, topic, "--metrics-port", str(port))
    wait_until(lambda: "recommender_connect_waiting 1.0" in metrics(port))
    health = httpx.get(f"http://127.0.0.1:{port}/healthz")
    wait_until(lambda: lag(port) == 400)
    service.start()
    wait_until(lambda: broker.committed(topic, topic) == 400)
    wait_until(lambda: lag(port) == 0)
    shown = metrics(port)

    assert (health.status_code, health.json()["status"]) == (200, "waiting")
    assert 'recommender_connect_consumed_total{source="kafka"} 400.0' in shown
    assert 'recommender_connect_sent_total{source="kafka"} 400.0' in shown
    assert running.end() == 0, running.said()
    assert json.loads(running.process.stdout.read())["sent"] == 400
    assert items_of(service) == sorted(f"i{i}" for i in range(400))


def test_a_member_that_was_asked_to_stop_ends_while_the_service_is_away(broker, service, connect):
    topic, port = a_topic(), free_port()
    broker.produce(topic, clicks(0, 10))
    service.stop()

    running = kafka(broker, connect, topic, "--metrics-port", str(port))
    wait_until(lambda: "recommender_connect_waiting 1.0" in metrics(port))

    assert running.end() == 0, running.said()
    assert re.search(r"\b([1-9]|10) records stay uncommitted", running.said())  # what its first half second brought
    assert broker.committed(topic, topic) == 0


def test_what_can_never_be_taken_goes_to_a_topic_as_it_was(broker, service, connect):
    topic, dead = a_topic(), a_topic()
    broker.create(dead)
    bad = [b"{", b"[1]", b'{"user_id": "u"}', json.dumps({"user_id": "u", "item_id": "i", "event": "x" * 200}).encode()]
    broker.produce(topic, [*clicks(0, 20), *bad, None])

    running = kafka(broker, connect, topic, "--until-end", "--dead-letter-topic", dead)
    assert running.process.wait(120) == 0, running.said()

    letters = broker.messages(dead)
    assert sorted(each.value() or b"" for each in letters) == sorted([*bad, b""])
    assert all(dict(each.headers())["dead.source"].startswith(f"kafka {topic}/".encode()) for each in letters)
    assert len(service.log()) == 20
    assert broker.committed(topic, topic) == 25


def test_a_topic_of_which_nothing_fits_is_not_emptied_into_dead_letters(broker, service, connect):
    topic = a_topic()
    broker.produce(topic, [b'{"userId": "u", "movie": "i"}'] * 150, partition=0)

    running = kafka(broker, connect, topic, "--until-end", "--stop-after-dead", "20")

    assert running.process.wait(120) == 1
    assert "Say so with --map userId=user_id" in running.said()
    n_letters = len(connect.dead.read_text().splitlines()) if connect.dead.exists() else 0
    assert broker.committed(topic, topic) == n_letters
    assert n_letters < 20  # 0, unless fewer than 20 arrived in its first half second
    assert service.log() == []


def test_names_nested_fields_and_units_are_as_the_options_say(broker, service, connect):
    topic = a_topic()
    messages = [
        {"type": "view", "userId": 7, "properties": {"sku": "a"}, "at": 1_700_000_000_500, "noise": 1},
        {"type": "login", "userId": 8},
    ]
    broker.produce(topic, [json.dumps(each).encode() for each in messages])

    running = kafka(
        *(broker, connect, topic, "--until-end", "--only", "type=view"),
        *("--map", "userId=user_id", "--map", "properties.sku=item_id", "--map", "at=timestamp", "--ignore", "noise"),
        *("--timestamp-unit", "ms"),
    )
    assert running.process.wait(120) == 0, running.said()

    (entry,) = service.log()
    assert (entry.user_id, entry.item_id, entry.timestamp) == ("7", "a", 1_700_000_000.5)
    assert json.loads(running.process.stdout.read())["skipped"] == 1


def test_a_topic_that_is_not_there_is_named_with_one_that_is_near(broker, connect):
    broker.create("purchases")

    running = connect("kafka", "--brokers", broker.address, "--topic", "purchase", "--until-end")

    assert running.process.wait(60) == 1
    assert "did you mean 'purchases'" in running.said()


def metrics(port: int) -> str:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics").text
    except httpx.TransportError:
        return ""


def lag(port: int) -> float:
    lines = [line for line in metrics(port).splitlines() if line.startswith("recommender_connect_lag_records{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines) if lines else -1
