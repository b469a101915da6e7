"""A broker of Kafka's protocol in a process of its own: the cluster that librdkafka has for tests.

It keeps topics and the offsets of groups in memory and speaks over TCP.
Run as ``python -m tests.support.kafka_broker``; it prints its address, and ends when its standard input does.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

ROOT = Path(__file__).parents[2]
PARTITIONS = 4
"""Of every topic, as the cluster makes them."""


class KafkaBroker:
    """A broker, and what tests do with it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._producer = Producer({"bootstrap.servers": address, "acks": "all"})

    def produce(self, topic: str, values: Iterable[bytes | None], partition: int | None = None) -> None:
        """Put messages into a topic, which is made where it is missing; over its partitions in turn."""
        for n, value in enumerate(values):
            self._producer.produce(topic, value, partition=n % PARTITIONS if partition is None else partition)
            self._producer.poll(0)
        assert self._producer.flush(60) == 0

    def create(self, topic: str) -> None:
        """Make a topic without messages."""
        assert topic in self._producer.list_topics(topic, timeout=30).topics

    def committed(self, topic: str, group: str) -> int:
        """Messages that a group has committed, over all partitions."""
        consumer = self._consumer(group)
        places = [TopicPartition(topic, n) for n in range(PARTITIONS)]
        found = [max(0, each.offset) for each in consumer.committed(places, timeout=30)]
        consumer.close()
        return sum(found)

    def messages(self, topic: str) -> list[Any]:
        """All messages of a topic."""
        consumer = self._consumer("a-reader")
        places = [TopicPartition(topic, n, 0) for n in range(PARTITIONS)]
        n = sum(consumer.get_watermark_offsets(each, timeout=30)[1] for each in places)
        consumer.assign(places)
        found = consumer.consume(n, timeout=30) if n else []
        consumer.close()
        return found

    def _consumer(self, group: str) -> Consumer:
        return Consumer({"bootstrap.servers": self.address, "group.id": group, "enable.auto.commit": False})


@contextmanager
def kafka_broker() -> Iterator[KafkaBroker]:
    command = [sys.executable, "-m", __name__]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield KafkaBroker(process.stdout.readline().strip())
        process.kill()


def _serve() -> None:
    producer = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 2})
    brokers = producer.list_topics(timeout=60).brokers.values()
    print(",".join(f"{each.host}:{each.port}" for each in brokers), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _serve()
