"""RedisStore: the contract over Redis 7 or Valkey.

Keys, all under one hash tag so that the scripts work on a cluster too: ``log`` a stream whose entry
``7-0`` has offset 7; ``u:ID`` and ``i:ID`` records; ``users`` and ``items`` sorted sets of ids by the
sequence of their last change, where a deleted item stays without a record; ``r:ID`` recent items of a user by
offset; ``t:ID`` the offset of a user's deletion; ``dd:N`` event ids of a week.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

import msgspec
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, ReadOnlyError, RedisError, ResponseError

from recommender.errors import StoreError, StoreFullError, StoreUnavailableError
from recommender.queries import UserState
from recommender.stores.base import (
    Appended,
    Fetched,
    Interaction,
    Item,
    ItemChanges,
    LogEntry,
    LogState,
    Poison,
    StoreHealth,
    User,
    UserDeleted,
)
from recommender.stores.cursors import from_cursor, to_cursor

PREFIX = "{rec}:"
FORMAT = b"\x01"
FETCH_TIMEOUT_S = 0.1
TIMEOUT_S = 2.0
CONNECTIONS = 32
EVENT_ID_BUCKET_S = 7 * 86_400
"""A repeated event_id is recognised for this long at least, and for twice as long at most."""
TRIM_PAGE = 1000
OLDEST_ENGINE = (7, 0)

_encode = msgspec.msgpack.Encoder().encode
_user = msgspec.msgpack.Decoder(User).decode
_item = msgspec.msgpack.Decoder(Item).decode
_event = msgspec.msgpack.Decoder(Interaction | UserDeleted).decode


class RedisStore:
    """A store behind a URL.

    Parameters
    ----------
    url
        ``redis://``, ``rediss://`` or ``unix://``.
    prefix
        Of every key.
    max_backlog
        Entries that the log holds at most.
    fetch_timeout_s
        For `fetch`, on the path of every request.
    timeout_s
        For everything else.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = PREFIX,
        max_backlog: int = 1_000_000,
        fetch_timeout_s: float = FETCH_TIMEOUT_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._prefix = prefix
        self._max_backlog = max_backlog
        self._name = _without_secrets(url)
        self._fast = _client(url, fetch_timeout_s)
        self._client = _client(url, timeout_s)
        names = ("append", "put", "delete_item", "delete_user", "advance")
        self._scripts = {name: self._client.register_script(_source(name)) for name in names}
        self._fetch = self._fast.register_script(_source("fetch"))

    def __repr__(self) -> str:
        return f"<RedisStore: {self._name}>"

    async def append(self, interactions: Sequence[Interaction]) -> Appended:
        """See `InteractionLog`."""
        arguments: list[Any] = [self._prefix, self._max_backlog, EVENT_ID_BUCKET_S]
        for each in interactions:
            arguments += (each.event_id or "", each.user_id, each.item_id, _encode(each))
        return Appended(*map(int, await self._run("append", arguments)))

    async def read(self, after: int, limit: int) -> list[LogEntry]:
        """See `InteractionLog`."""
        async with self._errors():
            found = await self._client.xrange(self._key("log"), f"{after + 1}-0", "+", count=limit)
        return [_entry(each) for each in found]

    async def trim(self, through: int) -> None:
        """See `InteractionLog`."""
        after = 0
        while after < through:
            # recent items first: if this is cut short, the entries are still there to do it again
            page = [entry for entry in await self.read(after, TRIM_PAGE) if entry.offset <= through]
            if not page:
                break
            users = {entry.event.user_id for entry in page if isinstance(entry.event, Interaction)}
            async with self._errors(), self._client.pipeline(transaction=False) as pipeline:
                for user_id in users:
                    pipeline.zremrangebyscore(self._key(f"r:{user_id}"), "-inf", through)
                await pipeline.execute()
            after = page[-1].offset
        async with self._errors():
            await self._client.xtrim(self._key("log"), minid=f"{through + 1}-0", approximate=False)

    async def state(self) -> LogState:
        """See `InteractionLog`."""
        async with self._errors(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.get(self._key("log:last"))
            pipeline.xlen(self._key("log"))
            last, length = await pipeline.execute()
        return LogState(int(last or 0), int(length))

    async def advance(self, offset: int, items_sequence: int) -> None:
        """See `InteractionLog`."""
        await self._run("advance", [self._prefix, offset, items_sequence])

    async def fetch(self, user_ids: Sequence[str]) -> Fetched:
        """See `FeatureStore`."""
        async with self._errors():
            sequence, last, *users = await self._fetch(args=[self._prefix, *user_ids])
        return Fetched([_state(*user) for user in users], int(sequence), int(last))

    async def get_users(self, user_ids: Sequence[str]) -> list[User | None]:
        """See `FeatureStore`."""
        return [_record(each, _user) for each in await self._records("u", user_ids)]

    async def put_users(self, users: Sequence[User]) -> list[bool]:
        """See `FeatureStore`."""
        return await self._put("u", "users", [(user.user_id, user) for user in users])

    async def delete_user(self, user_id: str) -> bool:
        """See `FeatureStore`."""
        return bool(await self._run("delete_user", [self._prefix, user_id, _encode(UserDeleted(user_id))]))

    async def list_users(self, cursor: str | None, limit: int) -> tuple[list[User], str | None]:
        """See `FeatureStore`."""
        page = await self._behind("users", from_cursor(cursor), limit)
        users = await self.get_users([user_id for _, user_id in page])
        return [user for user in users if user is not None], to_cursor(page, limit)

    async def get_items(self, item_ids: Sequence[str]) -> list[Item | None]:
        """See `FeatureStore`."""
        return [_record(each, _item) for each in await self._records("i", item_ids)]

    async def put_items(self, items: Sequence[Item]) -> list[bool]:
        """See `FeatureStore`."""
        return await self._put("i", "items", [(item.item_id, item) for item in items])

    async def delete_item(self, item_id: str) -> bool:
        """See `FeatureStore`."""
        return bool(await self._run("delete_item", [self._prefix, item_id]))

    async def list_items(self, cursor: str | None, limit: int) -> tuple[list[Item], str | None]:
        """See `FeatureStore`."""
        page = await self._behind("items", from_cursor(cursor), limit)
        items = await self.get_items([item_id for _, item_id in page])
        return [item for item in items if item is not None], to_cursor(page, limit)

    async def item_changes(self, after: int, limit: int) -> ItemChanges:
        """See `FeatureStore`."""
        page = await self._behind("items", after, limit)
        items = await self.get_items([item_id for _, item_id in page])
        changes = [(sequence, item_id, item) for (sequence, item_id), item in zip(page, items, strict=True)]
        return ItemChanges(changes, page[-1][0] if page else after, len(page) == limit)

    async def recent(self, user_id: str) -> list[LogEntry]:
        """See `FeatureStore`."""
        async with self._errors(), self._client.pipeline(transaction=False) as pipeline:
            found = await self._client.zrevrange(self._key(f"r:{user_id}"), 0, -1, withscores=True)
            for _, offset in found:
                pipeline.xrange(self._key("log"), f"{int(offset)}-0", f"{int(offset)}-0")
            entries = await pipeline.execute()
        return [_entry(each) for page in entries for each in page]

    async def ping(self) -> StoreHealth:
        """See `FeatureStore`."""
        async with self._errors():
            began = time.perf_counter()
            await self._client.ping()
            latency_ms = (time.perf_counter() - began) * 1e3
            info = await self._client.info("server", "memory", "persistence")
        engine = "valkey" if "valkey_version" in info else "redis"
        version = str(info.get("valkey_version") or info["redis_version"])
        return StoreHealth(engine, version, round(latency_ms, 3), _warnings(info))

    async def close(self) -> None:
        """See `FeatureStore`."""
        await self._fast.aclose()
        await self._client.aclose()

    def _key(self, name: str) -> str:
        return self._prefix + name

    async def _run(self, script: str, arguments: Sequence[Any]) -> Any:
        async with self._errors():
            return await self._scripts[script](args=arguments)

    async def _records(self, letter: str, ids: Sequence[str]) -> list[bytes | None]:
        if not ids:
            return []
        async with self._errors():
            found: list[bytes | None] = await self._client.mget(
                [self._key(f"{letter}:{an_id}") for an_id in ids]
            )
        return found

    async def _put(self, letter: str, name: str, records: Sequence[tuple[str, User | Item]]) -> list[bool]:
        arguments: list[Any] = [self._prefix, letter, name]
        for an_id, record in records:
            arguments += (an_id, FORMAT + _encode(record))
        return [bool(each) for each in await self._run("put", arguments)]

    async def _behind(self, name: str, after: int, limit: int) -> list[tuple[int, str]]:
        async with self._errors():
            found = await self._client.zrangebyscore(
                self._key(name), f"({after}", "+inf", start=0, num=limit, withscores=True
            )
        return [(int(score), an_id.decode()) for an_id, score in found]

    @asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        """Translate what the client raises; nothing of it leaves this module."""
        try:
            yield
        except (BusyLoadingError, ReadOnlyError, ConnectionError, OSError) as error:
            raise StoreUnavailableError(
                f"the store at {self._name} does not answer: {_reason(error)}"
            ) from error
        except ResponseError as error:
            full = str(error).startswith(("BACKLOG", "OOM", "MISCONF")) or "OOM" in str(error)
            kind = StoreFullError if full else StoreError
            raise kind(f"the store at {self._name} refuses: {error}") from error
        except RedisError as error:
            raise StoreUnavailableError(f"the store at {self._name} fails: {_reason(error)}") from error


def _client(url: str, timeout_s: float) -> redis.Redis:
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        # a silent retry of an append whose reply was lost would count it twice
        retry=Retry(NoBackoff(), 0),
    )
    return redis.Redis.from_pool(pool)


def _source(script: str) -> str:
    return resources.files("recommender.stores").joinpath(f"{script}.lua").read_text()


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _entry(found: tuple[bytes, dict[bytes, bytes]]) -> LogEntry:
    offset = int(found[0].partition(b"-")[0])
    try:
        return LogEntry(offset, _event(found[1][b"d"]))
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError) as error:
        return LogEntry(offset, Poison(f"{type(error).__name__}: {error}"))


def _record(packed: bytes | None, decode: Any) -> Any:
    if packed is None:
        return None
    if packed[:1] != FORMAT:
        raise StoreError(f"a record has the format {packed[:1]!r}, this release reads {FORMAT!r}")
    try:
        return decode(memoryview(packed)[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreError(f"a record cannot be read: {error}") from error


def _state(packed: bytes | None, deleted_at: bytes | None, recent: list[Any]) -> UserState:
    try:
        user = _record(packed, _user)
    except StoreError:
        user = None  # one broken record must not take the batch down
    pairs = zip(recent[::2], recent[1::2], strict=True)
    return UserState(
        user and user.features,
        tuple((item_id.decode(), int(offset)) for item_id, offset in pairs),
        int(deleted_at or 0),
    )


def _warnings(info: dict[str, Any]) -> list[str]:
    warnings: list[str] = []
    version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    if version < OLDEST_ENGINE:
        warnings.append(f"engine {info['redis_version']} is older than 7.0")
    if info.get("maxmemory_policy") not in (None, "noeviction"):
        warnings.append(
            f"maxmemory-policy is {info['maxmemory_policy']}: interactions may be evicted; set noeviction"
        )
    if not info.get("aof_enabled"):
        warnings.append("appendonly is off: interactions may be lost when the store dies")
    return warnings
