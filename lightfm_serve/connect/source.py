"""Stream source: the protocol of what records are consumed from, and the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """A record of a stream, as it was read.

    Parameters
    ----------
    stream
        ``kafka`` or ``redis``.
    partition
        Partition of a topic, as ``clicks/3``, or the name of a stream.
    offset
        Where in it: an offset of Kafka, an entry id of Redis.
    value
        Bytes of a message; fields of an entry; None for a message without a value (a tombstone) and for an entry that
        was trimmed away before it was read.
    key
        Key of a message.
    timestamp_ms
        When it was written, in milliseconds since the epoch; None where the stream does not say.
    """

    stream: str
    partition: str
    offset: str
    value: bytes | Mapping[str, str] | None
    key: bytes | None = None
    timestamp_ms: int | None = None

    @property
    def position(self) -> str:
        """Where it stands, for people: ``kafka clicks/3@1042``."""
        return f"{self.stream} {self.partition}@{self.offset}"

    @property
    def n_bytes(self) -> int:
        """Size of its value."""
        if isinstance(self.value, Mapping):
            return sum(len(name) + len(value) for name, value in self.value.items())
        return len(self.value or b"")

    def event_id(self) -> str:
        """Event id of a record that names none: the same whenever it is delivered.

        It is made of the position, the time and the content: a topic that was deleted and created again counts from 0
        once more, and two servers may give entries the same id, but those are other records.
        """
        content = self.value if isinstance(self.value, bytes) else repr(sorted((self.value or {}).items())).encode()
        said = "\0".join((self.partition, self.offset, str(self.timestamp_ms))).encode() + b"\0" + content
        return f"{self.stream}-{self.offset}-{blake2b(said, digest_size=DIGEST_BYTES).hexdigest()}"


class Source(Protocol):
    """Protocol of a stream that is read as a member of a consumer group.

    What was read and not committed is delivered again, to this member or to another.
    """

    @property
    def at_end(self) -> bool:
        """Whether all that is there was read."""
        ...

    def read(self, most: int, wait_s: float) -> Sequence[StreamRecord]:
        """Up to `most` records, in the order of each partition; fewer when `wait_s` seconds have passed."""
        ...

    def commit(self, records: Sequence[StreamRecord]) -> None:
        """Say that these are done with. Where that fails they are delivered again, and counted once all the same."""
        ...

    def wait(self, seconds: float) -> None:
        """Stay a member of the group for so long, without reading."""
        ...

    def lag(self) -> Mapping[str, int]:
        """Records that are not committed yet, by partition; those of which it is known."""
        ...

    def close(self) -> None:
        """Leave the group."""
        ...
