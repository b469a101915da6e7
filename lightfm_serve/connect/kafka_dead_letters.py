"""Dead letters in a topic of Kafka: the message as it was, with the reason in its headers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from lightfm_serve.connect.dead_letters import DeadLetter, headers_of
from lightfm_serve.connect.errors import StreamError
from lightfm_serve.records.nearest import did_you_mean

WITHIN_S = 60.0
CONSUMERS_ONLY = ("group.", "auto.offset", "session.", "max.poll", "enable.auto", "enable.partition", "isolation.")


class DeadLetterTopic:
    """Dead letters in a topic; a letter is durable when all replicas in sync have it (``acks=all``).

    Parameters
    ----------
    settings
        Of librdkafka, as the consumer has them.
    topic
        Which; it has to be there.

    Raises
    ------
    StreamError
        No broker answers, or there is no such topic.
    """

    def __init__(self, settings: Mapping[str, Any], topic: str) -> None:
        shared = {name: value for name, value in settings.items() if not name.startswith(CONSUMERS_ONLY)}
        self._topic = topic
        self._failed: list[str] = []
        try:
            self._producer = Producer({**shared, "acks": "all", "message.timeout.ms": int(WITHIN_S * 1_000)})
            there = self._producer.list_topics(timeout=10).topics
        except KafkaException as error:
            raise StreamError(f"dead letters: Kafka: {error.args[0].str()}") from None
        if topic not in there:
            raise StreamError(f"there is no topic {topic!r} for dead letters{did_you_mean(topic, there)}")

    def write(self, letters: Sequence[DeadLetter]) -> None:
        """See `DeadLetters`."""
        self._failed.clear()
        for letter in letters:
            self._produce(letter)
        left = self._producer.flush(WITHIN_S)
        if left or self._failed:
            reason = self._failed[0] if self._failed else f"{left} are under way after {WITHIN_S:.0f} s"
            raise StreamError(f"dead letters cannot be kept in topic {self._topic}: {reason}")

    def close(self) -> None:
        """See `DeadLetters`."""
        self._producer.flush(WITHIN_S)

    def _produce(self, letter: DeadLetter) -> None:
        record = letter.record
        value = record.value if isinstance(record.value, bytes) else None
        headers: dict[str, str | bytes | None] = {**headers_of(letter)}
        try:
            self._producer.produce(self._topic, value, record.key, headers=headers, on_delivery=self._hear)
        except (BufferError, KafkaException) as error:
            raise StreamError(f"dead letters cannot be kept in topic {self._topic}: {error}") from None

    def _hear(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed.append(error.str())
