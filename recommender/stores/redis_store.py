"""RedisStore: the store over Redis 7 or Valkey.

Keys, all under one hash tag so that the scripts work on a cluster too:

``log``, ``log:last``
    Stream of events, whose entry ``7-0`` has offset 7, and the last offset.
``u:ID``, ``i:ID``
    Records of users and items.
``users``, ``items``, ``users:seq``, ``items:seq``
    Sorted sets of ids by the sequence of their last change, and the last sequence.
``kinds:users``, ``kinds:items``
    Hashes from the name of a feature to the count of numbers of the dense vector that it is, 0 for one that is none.
``gone``
    Deleted items by the sequence of their deletion, for who follows the changes, until all have heard of it. An
    earlier release left them in ``items``, without a record.
``r:ID``
    Recent items of a user by the offset of the newest interaction, the newest `RECENT_IDS` of them.
``h:ID``
    Interactions of a user that are in the log: their offsets, of 16 digits, by time.
``t:ID``
    Offset at which a user was deleted, until that is trimmed.
``dd:N``
    Event ids of a period.
``exposures``, ``trials``, ``fault``
    Stream of what was shown; what came of explored items; what is wrong with the server, as who runs it found.

Rights that an ACL must give: ``~{rec}:* +@read +@write +@scripting +@connection +time``, and ``+info`` for the
warnings of `ping`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from redis.exceptions import NoPermissionError

from recommender.errors import InvalidRequestError, StoreError
from recommender.schema import RecentItem, UserState
from recommender.stores.codec import pack, pack_time, unpack_event, unpack_item, unpack_user
from recommender.stores.connection import Connection
from recommender.stores.exposure_stream import RedisExposureStream
from recommender.stores.feature_kinds import MOST_PLAIN, kinds_of, refusal
from recommender.stores.health import read_health
from recommender.stores.pagination import list_live, newest_first
from recommender.stores.protocols import (
    RECENT,
    RECENT_IDS,
    Appended,
    Fetched,
    Interaction,
    Item,
    ItemChanges,
    LogEntry,
    LogState,
    Side,
    StoreHealth,
    UnreadableEntry,
    User,
    UserDeleted,
)
from recommender.stores.redis_settings import RedisSettings
from recommender.stores.script_arguments import (
    append_arguments,
    history_member,
    renumber_arguments,
    trim_arguments,
    without_repeats,
)

PREFIX = "{rec}:"
MAX_BACKLOG = 1_000_000
EVENT_ID_WINDOW_S = 7 * 86_400
FETCH_TIMEOUT_S = 0.05
TIMEOUT_S = 2.0
PROMPTLY_S, RECORD_S = 0.25, 0.001
"""A call has so long, and so much longer for each of its records, up to `TIMEOUT_S`: one who writes a single
interaction to a store that hangs should hear so soon, one who writes ten thousand may wait."""
MOST_OLDER_AT_ONCE = 50_000
"""Ids of older recent items that one `fetch` brings, for all of its users; each has at most `RECENT_IDS`."""
MAX_UNREADABLE_ENTRIES = 10_000
PAGE = 1000
REFUSED = -1
"""With which put.lua begins an answer that names a feature of two kinds."""

_decode_ids = msgspec.msgpack.Decoder(tuple[str, ...]).decode


class RedisStore(RedisSettings, RedisExposureStream):
    """A store in Redis or Valkey; it connects with the first call.

    Parameters
    ----------
    url
        ``redis://``, ``rediss://`` or ``unix://``.
    prefix
        Of every key; with a hash tag in braces.
    max_backlog
        Entries that the log holds at most.
    event_id_window_s
        A repeated ``event_id`` is recognised for this long at least, and for twice as long at most: ids are
        forgotten a period at a time.
    fetch_timeout_s
        For `fetch`, on the path of every request.
    timeout_s
        For every other call, at most; see `PROMPTLY_S`.

    Raises
    ------
    InvalidDataError
        The URL is malformed.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = PREFIX,
        max_backlog: int = MAX_BACKLOG,
        event_id_window_s: int = EVENT_ID_WINDOW_S,
        fetch_timeout_s: float = FETCH_TIMEOUT_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._prefix = prefix
        self.max_backlog = max_backlog
        self._event_id_window_s = event_id_window_s
        # connections of their own: reads on the hot path never queue behind a large write
        self._hot = Connection(url, fetch_timeout_s)
        self._connection = Connection(url, timeout_s)

    def __repr__(self) -> str:
        return f"<RedisStore: {self._connection!r}>"

    async def append(self, interactions: Sequence[Interaction]) -> Appended:
        """See `InteractionLog`."""
        distinct = without_repeats(interactions)
        arguments = [self.max_backlog, self._event_id_window_s, RECENT_IDS, *append_arguments(distinct)]
        accepted, _, last_offset = await self._run("append", arguments, len(distinct))
        return Appended(accepted, len(interactions) - accepted, last_offset)

    async def read(self, after: int, limit: int) -> list[LogEntry]:
        """See `InteractionLog`."""
        async with self._connection.session(_within_s(limit)) as client:
            found = await client.xrange(self._prefix + "log", f"{after + 1}-0", "+", count=limit)
        return [_entry(*each) for each in found]

    async def set_aside(self, entries: Sequence[LogEntry]) -> None:
        """See `InteractionLog`."""
        poison = [(entry.offset, entry.event) for entry in entries if isinstance(entry.event, UnreadableEntry)]
        words = [word for offset, event in poison for word in (offset, event.reason, event.payload)]
        await self._run("set_aside", [MAX_UNREADABLE_ENTRIES, *words], len(poison))

    async def poisoned(self, limit: int) -> list[LogEntry]:
        """See `InteractionLog`."""
        async with self._connection.session() as client:
            found = await client.xrevrange(self._prefix + "poison", count=limit)
        return [
            LogEntry(_offset(entry_id), UnreadableEntry(fields[b"reason"].decode(errors="replace"), fields[b"d"]))
            for entry_id, fields in found
        ]

    async def trim(self, through: int, *, keep_deletions: bool = False) -> None:
        """See `InteractionLog`."""
        trimmed = 0
        while trimmed < through:
            page = [entry for entry in await self.read(trimmed, PAGE) if entry.offset <= through]
            if not page:
                return
            # a page goes as a whole: cut short between two, everything that is left is still consistent
            trimmed = page[-1].offset
            await self._run("trim", [through, trimmed, *trim_arguments(page, keep_deletions)], PAGE)

    async def state(self) -> LogState:
        """See `InteractionLog`."""
        first, last, length = await self._run("state")
        return LogState(_offset(first) if first else int(last) + 1, int(last), length)

    async def advance(self, offset: int, items_sequence: int, *, only_empty: bool = False) -> None:
        """See `InteractionLog`."""
        await self._run("advance", [offset, items_sequence, int(only_empty)])

    async def renumber(self, after: int, through: int) -> None:
        """See `InteractionLog`."""
        while page := [entry for entry in await self.read(after, PAGE) if entry.offset <= through]:
            await self._run("renumber", [word for entry in page for word in renumber_arguments(*entry)], PAGE)
            after = page[-1].offset

    async def fetch(self, user_ids: Sequence[str]) -> Fetched:
        """See `FeatureStore`."""
        arguments = [RECENT, RECENT_IDS - RECENT, MOST_OLDER_AT_ONCE, *user_ids]
        found = await self._hot.read("fetch", self._prefix, arguments)
        sequence, last, settings, records, deletions, recent, older = found
        users = [_readable(record) for record in records]
        states = [
            UserState(user.features if user else None, _recent(entries), int(deletion or 0), _ids(packed))
            for user, deletion, entries, packed in zip(users, deletions, recent, older, strict=True)
        ]
        unreadable = users.count(None) - records.count(None)
        return Fetched(states, int(sequence), int(last), unreadable, int(settings))

    async def feature_kinds(self, of: Side, names: Sequence[str]) -> dict[str, int]:
        """See `FeatureStore`."""
        if not names:
            return {}
        async with self._connection.session() as client:
            found = await client.hmget(f"{self._prefix}kinds:{of}", names)
        return {name: int(kind) for name, kind in zip(names, found, strict=True) if kind is not None}

    async def forget_feature_kinds(self, of: Side, kept: Collection[str]) -> None:
        """See `FeatureStore`."""
        key = f"{self._prefix}kinds:{of}"
        async with self._connection.session() as client:
            gone = [name for name in await client.hkeys(key) if name.decode(errors="replace") not in kept]
            if gone:
                await client.hdel(key, *gone)

    async def get_users(self, user_ids: Sequence[str]) -> list[User | None]:
        """See `FeatureStore`."""
        return [unpack_user(each) for each in await self._records("u", user_ids)]

    async def put_users(self, users: Sequence[User]) -> list[bool]:
        """See `FeatureStore`."""
        kinds = kinds_of(user.features for user in users)
        return await self._put("u", "users", kinds, ((user.user_id, pack(user)) for user in users))

    async def delete_user(self, user_id: str) -> bool:
        """See `FeatureStore`."""
        return bool(await self._run("delete_user", [user_id, pack(UserDeleted(user_id))]))

    async def expire_users(self, changed_at: Mapping[str, float]) -> None:
        """See `FeatureStore`."""
        await self._expire("u", "users", changed_at)

    async def list_users(self, cursor: str | None, limit: int) -> tuple[list[User], str | None]:
        """See `FeatureStore`."""
        return await list_live(self._changed_users, cursor, limit)

    async def get_items(self, item_ids: Sequence[str]) -> list[Item | None]:
        """See `FeatureStore`."""
        return [unpack_item(each) for each in await self._records("i", item_ids)]

    async def put_items(self, items: Sequence[Item]) -> list[bool]:
        """See `FeatureStore`."""
        kinds = kinds_of(item.features for item in items)
        return await self._put("i", "items", kinds, ((item.item_id, pack(item)) for item in items))

    async def delete_item(self, item_id: str, *, without_record: bool = False) -> bool:
        """See `FeatureStore`."""
        return bool(await self._run("delete_item", [item_id, int(without_record)]))

    async def expire_items(self, changed_at: Mapping[str, float]) -> None:
        """See `FeatureStore`."""
        await self._expire("i", "items", changed_at)

    async def list_items(self, cursor: str | None, limit: int) -> tuple[list[Item], str | None]:
        """See `FeatureStore`."""
        return await list_live(self._stored_items, cursor, limit)

    async def item_changes(self, after: int, limit: int) -> ItemChanges:
        """See `FeatureStore`."""
        return ItemChanges.of(*await self._changed_items(after, limit + 1), after, limit)

    async def forget_items(self, item_ids: Sequence[str]) -> None:
        """See `FeatureStore`."""
        await self._run("forget_items", item_ids, len(item_ids))

    async def renew_items(self, item_ids: Sequence[str]) -> None:
        """See `FeatureStore`."""
        await self._run("renew", item_ids, len(item_ids))

    async def newest_items(self, before: int | None, limit: int) -> list[tuple[int, str, Item | None]]:
        """See `FeatureStore`."""
        start = "+inf" if before is None else f"({before}"
        async with self._connection.session() as client:
            found = await client.zrange(
                self._prefix + "items", start, "-inf", desc=True, byscore=True, offset=0, num=limit, withscores=True
            )
        items = await self.get_items([item_id.decode() for item_id, _ in found])
        return [(int(sequence), item_id.decode(), item) for (item_id, sequence), item in zip(found, items, strict=True)]

    async def waiting(self, user_id: str, before: tuple[float, int] | None, limit: int) -> list[LogEntry]:
        """See `FeatureStore`."""
        boundary = ("", "") if before is None else (repr(before[0]), history_member(before[1]))
        found = await self._run("history", [user_id, *boundary, limit], limit)
        entries = [
            LogEntry(_offset(entry_id), unpack_event(packed))
            for entry_id, packed in zip(found[::2], found[1::2], strict=True)
        ]
        return newest_first(entries, before)

    async def ping(self) -> StoreHealth:
        """See `FeatureStore`."""
        async with self._connection.session() as client:
            began = time.perf_counter()
            await client.ping()
            latency_ms = (time.perf_counter() - began) * 1e3
            try:
                info = await client.info("server", "memory", "persistence")
            except NoPermissionError:
                info = {}  # a managed server may keep that to itself; it answers, and that is what counts
            log_length, fault = await client.xlen(self._prefix + "log"), await client.get(self._prefix + "fault")
        words = fault and fault.decode(errors="replace")
        return read_health(info, latency_ms, log_length, self.max_backlog, words)

    async def close(self) -> None:
        """See `FeatureStore`."""
        await self._hot.close()
        await self._connection.close()

    async def _run(self, script: str, arguments: Iterable[Any] = (), records: int = 1) -> Any:
        return await self._connection.run(script, self._prefix, arguments, _within_s(records))

    async def _records(self, letter: str, ids: Sequence[str]) -> list[bytes | None]:
        if not ids:
            return []
        async with self._connection.session(_within_s(len(ids))) as client:
            found: list[bytes | None] = await client.mget([f"{self._prefix}{letter}:{an_id}" for an_id in ids])
        return found

    async def _put(
        self, letter: str, name: str, kinds: Mapping[str, int], records: Iterable[tuple[str, bytes]]
    ) -> list[bool]:
        words = [word for record in records for word in record]
        named = [word for kind in kinds.items() for word in kind]
        found = await self._run("put", [letter, name, MOST_PLAIN, len(kinds), *named, *words], len(words) // 2)
        if found and found[0] == REFUSED:
            name, kind = list(kinds.items())[found[1] - 1]
            raise InvalidRequestError(refusal(name, kind, int(found[2])))
        return [bool(each) for each in found]

    async def _expire(self, letter: str, name: str, changed_at: Mapping[str, float]) -> None:
        words = [word for an_id, seconds in changed_at.items() for word in (an_id, pack_time(seconds))]
        await self._run("expire", [letter, name, *words], len(changed_at))

    async def _changed_users(self, after: int, limit: int) -> list[tuple[int, str, User | None]]:
        found = await self._changed("u", "users", after, limit)
        return [(sequence, user_id, unpack_user(record)) for sequence, user_id, record in found]

    async def _stored_items(self, after: int, limit: int) -> list[tuple[int, str, Item | None]]:
        found = await self._changed("i", "items", after, limit)
        return [(sequence, item_id, unpack_item(record)) for sequence, item_id, record in found]

    async def _changed_items(self, after: int, limit: int) -> tuple[list[tuple[int, str, Item | None]], int]:
        page, records, newest = await self._run("changes", [after, limit], limit)
        found = _records_of(page, records)
        return [(sequence, item_id, unpack_item(record)) for sequence, item_id, record in found], newest

    async def _changed(self, letter: str, name: str, after: int, limit: int) -> list[tuple[int, str, bytes | None]]:
        return _records_of(*await self._run("page", [letter, name, after, limit], limit))


def _records_of(page: Sequence[bytes], records: Sequence[bytes | None]) -> list[tuple[int, str, bytes | None]]:
    """Sequence, id and record of each, from ids and sequences in turn."""
    ids = zip(page[::2], page[1::2], records, strict=True)
    return [(int(sequence), an_id.decode(), record) for an_id, sequence, record in ids]


def _within_s(records: int) -> float:
    return PROMPTLY_S + RECORD_S * records


def _entry(entry_id: bytes, fields: dict[bytes, bytes] | None) -> LogEntry:
    packed = (fields or {}).get(b"d")
    event = UnreadableEntry("it has no payload") if packed is None else unpack_event(packed)
    return LogEntry(_offset(entry_id), event)


def _offset(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])


def _readable(packed: bytes | None) -> User | None:
    """A user; None also for a broken record, which must not take the batch down."""
    try:
        return unpack_user(packed)
    except StoreError:
        return None


def _recent(entries: Sequence[Any]) -> tuple[RecentItem, ...]:
    """Recent items, oldest first, from item, offset and log entry in turn, newest first."""
    triples = zip(entries[::3], entries[1::3], entries[2::3], strict=True)
    return tuple(_recent_item(*triple) for triple in triples)[::-1]


def _recent_item(item_id: bytes, offset: bytes, packed: bytes | None) -> RecentItem:
    event = None if packed is None else unpack_event(packed)
    name, log_offset = item_id.decode(errors="replace"), int(offset)
    if isinstance(event, Interaction):
        return RecentItem(name, log_offset, event.weight, event.event)
    return RecentItem(name, log_offset)


def _ids(packed: bytes | None) -> tuple[str, ...]:
    return () if packed is None else _decode_ids(packed)
