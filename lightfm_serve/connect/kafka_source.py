"""Kafka source: a member of a consumer group, whose offsets are committed after the service has acknowledged."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import (
    OFFSET_INVALID,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from lightfm_serve.connect.errors import StreamError
from lightfm_serve.connect.source import StreamRecord
from lightfm_serve.records.nearest import did_you_mean

logger = logging.getLogger(__name__)

STARTS: Mapping[str, str] = {"earliest": "earliest", "latest": "latest", "committed": "error"}
"""Where a group begins that has committed nothing: librdkafka's ``auto.offset.reset``."""
MOST_BYTES = 8 * 1024 * 1024
"""Of a batch, give or take the messages that arrive at once."""
AT_ONCE = 100
SLICE_S = 0.2
ASK_S = 10.0
LAG_ASK_S = 1.0
DEFAULTS: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "allow.auto.create.topics": False,
    "client.id": "recommender-connect",
    "queued.max.messages.kbytes": 16_384,  # what is read ahead, in memory
    "fetch.message.max.bytes": 1_048_576,
}
END_IT = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._AUTO_OFFSET_RESET,  # nothing committed, and --start committed
    }
)
"""Errors that waiting does not mend."""

Place = tuple[str, int]
"""Topic and number of a partition."""


class KafkaSource:
    """Topics, as a member of a consumer group.

    Parameters
    ----------
    settings
        Of librdkafka; ``bootstrap.servers`` and ``group.id`` at least.
    topics
        Which.
    start
        Where to begin in partitions of which the group has committed nothing, one of `STARTS`; with ``committed`` it
        is an error.

    Raises
    ------
    StreamError
        No broker answers, a topic is not there, or a setting is none.
    """

    def __init__(self, settings: Mapping[str, Any], topics: Sequence[str], start: str = "earliest") -> None:
        own = {**DEFAULTS, **settings, "auto.offset.reset": STARTS[start]}
        try:
            self._consumer = Consumer(own, logger=logger)
        except (KafkaException, TypeError, ValueError) as error:
            raise StreamError(f"Kafka: {_words(error)}") from None
        self._held: list[Message] = []
        """Read while it was paused."""
        self._uncommitted: dict[Place, int] = {}
        self._ends: set[Place] = set()
        """Partitions of which everything was read."""
        self._check(topics, str(settings.get("bootstrap.servers", "")))
        self._consumer.subscribe(list(topics), on_revoke=self._forget, on_lost=self._forget)

    @property
    def at_end(self) -> bool:
        """See `Source`; of the partitions that are assigned to this member, one at least."""
        assigned = {_place(each) for each in self._consumer.assignment()}
        return bool(assigned) and not self._held and not self._uncommitted and assigned <= self._ends

    def read(self, most: int, wait_s: float) -> list[StreamRecord]:
        """See `Source`."""
        self._commit()
        records: list[StreamRecord] = []
        n_bytes, until = 0, time.monotonic() + wait_s
        while len(records) < most and n_bytes < MOST_BYTES and (left := until - time.monotonic()) > 0:
            held, self._held = self._held, []
            for message in held or self._consumer.consume(min(most - len(records), AT_ONCE), left):
                record = self._record(message)
                if record is not None:
                    records.append(record)
                    n_bytes += record.n_bytes
        return records

    def commit(self, records: Sequence[StreamRecord]) -> None:
        """See `Source`. What belongs to others by now is left to them."""
        assigned = {_place(each) for each in self._consumer.assignment()}
        for record in records:
            topic, _, number = record.partition.rpartition("/")
            place = (topic, int(number))
            if place in assigned:
                self._uncommitted[place] = int(record.offset) + 1
        self._commit()

    def wait(self, seconds: float) -> None:
        """See `Source`. All partitions are paused; polling goes on, or the group would take them for lost."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            assigned = self._consumer.assignment()
            if assigned:
                self._consumer.pause(assigned)
            message = self._consumer.poll(min(left, SLICE_S))
            if message is not None and message.error() is None:
                self._held.append(message)  # of a partition that was assigned just now
        assigned = self._consumer.assignment()
        if assigned:
            self._consumer.resume(assigned)

    def lag(self) -> dict[str, int]:
        """See `Source`."""
        try:
            committed = self._consumer.committed(self._consumer.assignment(), LAG_ASK_S)
            return {f"{each.topic}/{each.partition}": self._behind(each) for each in committed if each.error is None}
        except KafkaException as error:
            logger.info("Kafka does not say how far the group is behind: %s", _words(error))
            return {}

    def close(self) -> None:
        """See `Source`."""
        self._commit()
        self._consumer.close()

    def _behind(self, committed: TopicPartition) -> int:
        low, high = self._consumer.get_watermark_offsets(committed, LAG_ASK_S)
        return int(high - (low if committed.offset <= OFFSET_INVALID else max(low, committed.offset)))

    def _check(self, topics: Sequence[str], brokers: str) -> None:
        try:
            there = self._consumer.list_topics(timeout=ASK_S).topics
        except KafkaException as error:
            self._consumer.close()
            raise StreamError(f"no broker answers at {brokers}: {_words(error)}") from None
        for topic in topics:
            if topic not in there:
                self._consumer.close()
                raise StreamError(f"there is no topic {topic!r} at {brokers}{did_you_mean(topic, there)}")

    def _record(self, message: Message) -> StreamRecord | None:
        """Record of a message; None for what only tells something."""
        topic, number = str(message.topic()), message.partition()
        error = message.error()
        if error is not None:
            self._hear(error, topic, number)
            return None
        self._ends.discard((topic, int(number or 0)))
        kind, timestamp_ms = message.timestamp()
        written = None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms
        value, key = _bytes(message.value()), _bytes(message.key())
        return StreamRecord("kafka", f"{topic}/{number}", str(message.offset()), value, key, written)

    def _hear(self, error: KafkaError, topic: str, number: int | None) -> None:
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            self._ends.add((topic, int(number or 0)))
        elif code in END_IT or error.fatal():
            hint = "; the group has committed nothing: --start earliest" if "OFFSET_RESET" in error.name() else ""
            raise StreamError(f"Kafka, topic {topic}: {error.str()}{hint}")
        else:
            logger.warning("Kafka: %s", error.str())

    def _commit(self) -> None:
        """Commit what is done with; where that fails it is tried again at the next batch."""
        if not self._uncommitted:
            return
        offsets = [TopicPartition(topic, number, offset) for (topic, number), offset in self._uncommitted.items()]
        try:
            answered = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            logger.warning("Kafka takes no offsets now: %s", _words(error))
            return
        for each in answered or ():
            if each.error is not None:
                logger.warning("Kafka takes no offset of %s/%d now: %s", each.topic, each.partition, each.error)
            elif self._uncommitted.get(_place(each)) == each.offset:
                del self._uncommitted[_place(each)]

    def _forget(self, _consumer: Consumer, partitions: Iterable[TopicPartition]) -> None:
        """Leave partitions to whoever has them now: an offset from here would set them back."""
        places = {_place(each) for each in partitions}
        self._held = [each for each in self._held if (str(each.topic()), each.partition()) not in places]
        self._ends -= places
        for place in places:
            self._uncommitted.pop(place, None)


def read_settings(path: Path) -> dict[str, str]:
    """Settings of librdkafka from a file with a ``name=value`` on each line, as Kafka's own tools have it.

    Raises
    ------
    StreamError
        A line is none.
    """
    settings: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise StreamError(f"{path}, line {number}: {line.split()[0]!r} is not like security.protocol=SASL_SSL")
        settings[name.strip()] = value.strip()
    return settings


def _place(partition: TopicPartition) -> Place:
    return str(partition.topic), int(partition.partition)


def _bytes(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _words(error: Exception) -> str:
    found = error.args[0] if error.args else error
    return found.str() if isinstance(found, KafkaError) else str(found)
