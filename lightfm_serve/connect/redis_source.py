"""Redis Streams source: a consumer of a group, whose entries are acknowledged after the service has."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import redis

from lightfm_serve.connect.errors import StreamError
from lightfm_serve.connect.source import StreamRecord

logger = logging.getLogger(__name__)

STARTS: Mapping[str, str] = {"earliest": "0", "latest": "$"}
"""Where a group begins that is not there yet; with ``committed`` it has to be."""
TRIMMED = "the stream was trimmed before the entry was read"
SILENCE_S = 1.0
"""To wait where the server is away."""


class RedisSource:
    """A stream of Redis or Valkey, as one consumer of a group.

    Entries that were given to a consumer and never acknowledged, because it died, are taken over: those of this
    consumer's name at once, those of others when nothing was heard of them for `claim_after_s`.

    Parameters
    ----------
    url
        ``redis://``, ``rediss://`` or ``unix://``.
    stream, group, consumer
        Names. One consumer has one process at a time.
    start
        ``earliest``, ``latest`` or ``committed``: where a group begins that is not there yet.
    claim_after_s
        Seconds after which entries of a silent consumer are taken over.

    Raises
    ------
    StreamError
        The server does not answer, or there is no such group.
    """

    def __init__(
        self, url: str, stream: str, group: str, consumer: str, start: str = "earliest", claim_after_s: float = 60.0
    ) -> None:
        self._stream, self._group, self._consumer = stream, group, consumer
        self._claim_after_ms = max(1, int(claim_after_s * 1_000))
        self._own_from: str | None = "0"
        """Behind which this consumer's own unacknowledged entries are still to be read; None for no more."""
        self._claimed_at = time.monotonic()
        self._under_way: list[str] = []
        self._unacknowledged: list[str] = []
        self._at_end = False
        try:
            self._redis: Any = redis.Redis.from_url(
                url, decode_responses=True, encoding_errors="surrogateescape", socket_timeout=30
            )
        except ValueError as error:
            raise StreamError(f"--stream-url: {error}") from None
        self._join(start)

    @property
    def at_end(self) -> bool:
        """See `Source`; entries that another consumer has are not there for this one."""
        return self._at_end and not self._unacknowledged

    def read(self, most: int, wait_s: float) -> list[StreamRecord]:
        """See `Source`."""
        try:
            self._acknowledge()
            entries = self._own(most) or self._claimed(most) or self._new(most, wait_s)
        except redis.RedisError as error:
            self._away(error)
            return []
        self._at_end = not entries
        self._under_way = [entry_id for entry_id, _ in entries]
        return [self._record(entry_id, fields) for entry_id, fields in entries]

    def commit(self, records: Sequence[StreamRecord]) -> None:
        """See `Source`."""
        self._under_way = []
        self._unacknowledged += [record.offset for record in records]
        try:
            self._acknowledge()
        except redis.RedisError as error:
            logger.warning("Redis takes no acknowledgements now: %s", error)

    def wait(self, seconds: float) -> None:
        """See `Source`. Now and then it says that the entries under way are not given up."""
        if time.monotonic() >= self._claimed_at + self._claim_after_ms / 3_000:
            self._hold()
        time.sleep(seconds)

    def lag(self) -> dict[str, int]:
        """See `Source`: what nobody of the group has read, and what was read and not acknowledged."""
        try:
            groups = self._redis.xinfo_groups(self._stream)
        except redis.RedisError as error:
            logger.info("Redis does not say how far the group is behind: %s", error)
            return {}
        own: Mapping[str, Any] = next((each for each in groups if each["name"] == self._group), {})
        # the server does not know it where entries in the middle were deleted
        return {self._stream: own["lag"] + own["pending"]} if own.get("lag") is not None else {}

    def close(self) -> None:
        """See `Source`. The consumer keeps its name in the group: without it, its entries would be lost."""
        try:
            self._acknowledge()
        except redis.RedisError as error:
            logger.warning("Redis takes no acknowledgements now: %s", error)
        self._redis.close()

    def _join(self, start: str) -> None:
        with _translated():
            if start == "committed":
                self._check_group()
                return
            try:
                self._redis.xgroup_create(self._stream, self._group, STARTS[start], mkstream=True)
            except redis.ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    def _check_group(self) -> None:
        there = self._redis.xinfo_groups(self._stream) if self._redis.exists(self._stream) else []
        if self._group not in [each["name"] for each in there]:
            raise StreamError(f"the stream {self._stream!r} has no group {self._group!r}; --start earliest makes it")

    def _own(self, most: int) -> list[tuple[str, dict[str, str] | None]]:
        """Entries that a process of this name has read before, and not acknowledged."""
        if self._own_from is None:
            return []
        entries = self._entries(self._own_from, most, None)
        self._own_from = entries[-1][0] if entries else None
        return entries

    def _claimed(self, most: int) -> list[tuple[str, dict[str, str] | None]]:
        """Entries of consumers of which nothing was heard."""
        if time.monotonic() < self._claimed_at + self._claim_after_ms / 1_000:
            return []
        _, entries, deleted = self._redis.xautoclaim(
            self._stream, self._group, self._consumer, self._claim_after_ms, "0-0", count=most
        )
        if deleted:
            logger.warning("%d entries were trimmed from %s before they were taken", len(deleted), self._stream)
        if len(entries) < most:
            self._claimed_at = time.monotonic()
        return list(entries)

    def _new(self, most: int, wait_s: float) -> list[tuple[str, dict[str, str] | None]]:
        return self._entries(">", most, max(1, int(wait_s * 1_000)))

    def _entries(self, behind: str, most: int, block_ms: int | None) -> list[tuple[str, dict[str, str] | None]]:
        found = self._redis.xreadgroup(self._group, self._consumer, {self._stream: behind}, count=most, block=block_ms)
        streams = list(found.values()) if isinstance(found, dict) else [each[1] for each in found or ()]
        entries = streams[0] if streams else []
        return entries[0] if entries and isinstance(entries[0], list) else entries

    def _record(self, entry_id: str, fields: dict[str, str] | None) -> StreamRecord:
        written = int(entry_id.partition("-")[0])
        return StreamRecord("redis", self._stream, entry_id, fields or None, timestamp_ms=written)

    def _acknowledge(self) -> None:
        if self._unacknowledged:
            self._redis.xack(self._stream, self._group, *self._unacknowledged)
            self._unacknowledged = []

    def _hold(self) -> None:
        self._claimed_at = time.monotonic()
        if not self._under_way:
            return
        try:
            self._redis.xclaim(self._stream, self._group, self._consumer, 0, self._under_way, idle=0, justid=True)
        except redis.RedisError as error:
            logger.warning("Redis: %s", error)

    def _away(self, error: redis.RedisError) -> None:
        """Wait for a server that is away; what it refuses for good ends the work."""
        self._at_end = False
        if isinstance(error, redis.ResponseError) and not str(error).startswith(("LOADING", "READONLY", "MASTERDOWN")):
            raise StreamError(f"stream {self._stream}, group {self._group}: {error}") from None
        if isinstance(error, redis.AuthenticationError):
            raise StreamError(f"stream {self._stream}: {error}") from None
        logger.warning("Redis does not answer: %s", error)
        time.sleep(SILENCE_S)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise StreamError(f"the server of --stream-url: {error}") from None
