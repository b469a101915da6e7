"""Key writer: fills an empty store with what a `KeyReader` has read from another."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from recommender.stores.codec import unpack_event
from recommender.stores.connection import Connection
from recommender.stores.key_reader import TIMEOUT_S, Counters, LogPayload, Record
from recommender.stores.key_space import EVENT_IDS, ITEMS_SEQUENCE, LAST, LOG, PREFIX, USERS_SEQUENCE
from recommender.stores.key_values import KeyValue, write_value
from recommender.stores.protocols import RECENT_IDS, Interaction, UserDeleted
from recommender.stores.redis_store import EVENT_ID_WINDOW_S


class KeyWriter:
    """Writes into an empty store that nobody else uses.

    Parameters
    ----------
    url, prefix
        As for `RedisStore`.
    """

    def __init__(self, url: str, prefix: str = PREFIX) -> None:
        self._connection = Connection(url, TIMEOUT_S)
        self._prefix = prefix

    async def log(self, entries: Sequence[LogPayload]) -> None:
        """Append entries with the offsets that they had, and what the store keeps of them by user."""
        async with self._connection.session() as client, client.pipeline(transaction=True) as writing:
            for offset, payload in entries:
                writing.xadd(self._prefix + LOG, {b"d": payload}, id=f"{offset}-0")
            _OfUsers(entries).write(writing, self._prefix)
            await writing.execute()

    async def users(self, records: Sequence[Record]) -> None:
        """Write users with their sequences; one that was written before is replaced."""
        await self._records("u:", records, "users")

    async def items(self, records: Sequence[Record]) -> None:
        """Write items, and notes of deletions, with their sequences; one that was written before is replaced."""
        await self._records("i:", [each for each in records if each[2] is not None], "items", other="gone")
        gone = [each for each in records if each[2] is None]
        if gone:
            async with self._connection.session() as client, client.pipeline(transaction=True) as writing:
                writing.delete(*(f"{self._prefix}i:{an_id}" for _, an_id, _ in gone))
                writing.zrem(f"{self._prefix}items", *(an_id for _, an_id, _ in gone))
                writing.zadd(f"{self._prefix}gone", {an_id: sequence for sequence, an_id, _ in gone})
                await writing.execute()

    async def values(self, values: Sequence[KeyValue]) -> None:
        """Write keys as they were; of a set there may be several parts."""
        async with self._connection.session() as client, client.pipeline(transaction=True) as writing:
            for each in values:
                write_value(writing, self._prefix, each)
            await writing.execute()

    async def event_ids(self, event_ids: Collection[str], instant_s: float) -> None:
        """Have event ids known, as if they had been taken at an instant, in seconds since the epoch."""
        if not event_ids:
            return
        key = f"{self._prefix}{EVENT_IDS}{math.floor(instant_s / EVENT_ID_WINDOW_S)}"
        async with self._connection.session() as client, client.pipeline(transaction=True) as writing:
            writing.sadd(key, *event_ids)
            writing.expire(key, 2 * EVENT_ID_WINDOW_S)
            await writing.execute()

    async def counters(self, counters: Counters) -> None:
        """Have new entries and changes count on behind these."""
        numbers = {
            LAST: counters.last_offset,
            USERS_SEQUENCE: counters.users_sequence,
            ITEMS_SEQUENCE: counters.items_sequence,
        }
        async with self._connection.session() as client:
            await client.mset({self._prefix + name: number for name, number in numbers.items()})

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def _records(self, letter: str, records: Sequence[Record], name: str, other: str | None = None) -> None:
        if not records:
            return
        async with self._connection.session() as client, client.pipeline(transaction=True) as writing:
            writing.mset({f"{self._prefix}{letter}{an_id}": record for _, an_id, record in records})
            writing.zadd(self._prefix + name, {an_id: sequence for sequence, an_id, _ in records})
            if other is not None:
                writing.zrem(self._prefix + other, *(an_id for _, an_id, _ in records))
            await writing.execute()


class _OfUsers:
    """What a store keeps of its log by user: deletions, recent items and histories.

    Parameters
    ----------
    entries
        By rising offset.
    """

    def __init__(self, entries: Sequence[LogPayload]) -> None:
        self.deleted: dict[str, int] = {}
        self.recent: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self.histories: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for offset, payload in entries:
            event = unpack_event(payload)
            if isinstance(event, Interaction):
                self.recent[event.user_id][event.item_id] = offset
                time_s = event.timestamp if math.isfinite(event.timestamp) else 0.0
                self.histories[event.user_id][f"{offset:016d}"] = time_s
            elif isinstance(event, UserDeleted):
                self.deleted[event.user_id] = offset
                self.recent.pop(event.user_id, None)
                self.histories.pop(event.user_id, None)

    def write(self, writing: Any, prefix: str) -> None:
        """Queue the commands: a deletion ends what pages before have written, then comes what was done since."""
        for user_id, offset in self.deleted.items():
            writing.set(f"{prefix}t:{user_id}", offset)
            writing.delete(f"{prefix}r:{user_id}", f"{prefix}h:{user_id}")
        for user_id, offsets in self.recent.items():
            writing.zadd(f"{prefix}r:{user_id}", offsets)
            writing.zremrangebyrank(f"{prefix}r:{user_id}", 0, -RECENT_IDS - 1)
        for user_id, times in self.histories.items():
            writing.zadd(f"{prefix}h:{user_id}", times)
