"""Redis connection: a bounded pool, a deadline for each call, errors of the library, no silent retry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from recommender.errors import InvalidDataError, StoreError, StoreFullError, StoreUnavailableError
from recommender.stores.circuit_breaker import CircuitBreaker
from recommender.stores.kept_connections import KeptConnections
from recommender.stores.sentinel import close_sentinels, is_sentinel, parse_sentinel, sentinel_pool

CONNECTIONS = 32
PROBE_S = 2.0
"""For a server that did not answer in time to answer at all; enough to connect over a wide network with TLS."""
FULL = ("BACKLOG", "OOM", "MISCONF")
"""Answers of a server that reads but takes nothing more: cap of the log, memory, disk."""
AWAY = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "UNKILLABLE")
"""Answers of a server that will be back."""


class Connection:
    """Redis client with a deadline for each call and a circuit breaker.

    Parameters
    ----------
    url
        ``redis://``, ``rediss://``, ``unix://`` or ``redis+sentinel://``; its password shows up nowhere.
    timeout_s
        For a call as a whole, at most: waiting for a free connection, connecting, the answer.

    Raises
    ------
    InvalidDataError
        The URL is malformed.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        try:
            self._name, pool = _pool(url, timeout_s)
        except ValueError:
            # the cause is left out: its message may show the URL
            raise InvalidDataError("the URL of the store is malformed") from None
        self._client = redis.Redis.from_pool(pool)
        # behind Sentinel it is the pool that notices a new master
        self._kept = None if is_sentinel(url) else KeptConnections(pool)
        self._timeout_s = timeout_s
        self._breaker = CircuitBreaker(self._probe)
        self._scripts: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Connection: {self._name}>"

    @asynccontextmanager
    async def session(self, within_s: float | None = None) -> AsyncIterator[Any]:
        """The client, for one call, which may have less time than others.

        Raises
        ------
        StoreError
            One of its kinds, for whatever the client, the network or the deadline has to say.
        InvalidDataError
            An id cannot be encoded.
        """
        if self._breaker.is_open:
            raise StoreUnavailableError(f"the store at {self._name} does not answer")
        timeout_s = min(within_s or self._timeout_s, self._timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                yield self._client
        except (TimeoutError, RedisTimeoutError) as error:
            self._breaker.trip()
            raise StoreUnavailableError(
                f"the store at {self._name} did not answer within {timeout_s * 1e3:.0f} ms"
            ) from error
        except (RedisConnectionError, ReadOnlyError, OSError) as error:
            raise StoreUnavailableError(f"the store at {self._name} is away: {_words(error)}") from error
        except ResponseError as error:
            raise _kind(error)(f"the store at {self._name} refuses: {_words(error)}") from error
        except RedisError as error:
            raise StoreUnavailableError(f"the store at {self._name} fails: {_words(error)}") from error
        except UnicodeEncodeError as error:
            raise InvalidDataError(f"an id is no Unicode text: {error.reason}") from error

    async def run(self, script: str, prefix: str, arguments: Iterable[Any] = (), within_s: float | None = None) -> Any:
        """Run a script of this folder in one round trip; one more when the server has just started.

        The second one repeats nothing: a server that does not know a script has not run it.
        """
        async with self.session(within_s) as client:
            return await self._script(client, script)(keys=[prefix], args=arguments)

    async def read(self, script: str, prefix: str, arguments: Iterable[Any]) -> Any:
        """`run` of a script that changes nothing, for the hot path: by a kept connection.

        What fails there, for whatever reason, is done once more as `run` does it: a server that has restarted has
        closed the connection, and knows no script.
        """
        async with self.session() as client:
            known = self._scripts.get(script)
            if known is not None and self._kept is not None:
                try:
                    return await self._kept.ask("EVALSHA", known.sha, 1, prefix, *arguments)
                except NoScriptError:
                    await client.script_load(known.script)
                except Exception:  # noqa: BLE001, S110 (the second try says what is wrong, if it still is)
                    pass
            return await self._script(client, script)(keys=[prefix], args=arguments)

    def _script(self, client: Any, name: str) -> Any:
        if name not in self._scripts:
            self._scripts[name] = client.register_script(_source(name))
        return self._scripts[name]

    async def close(self) -> None:
        """Close the connections."""
        await self._breaker.close()
        if self._kept is not None:
            await self._kept.release()
        await self._client.aclose()
        await close_sentinels(self._client.connection_pool)

    async def _probe(self) -> None:
        async with asyncio.timeout(PROBE_S):
            await self._client.ping()


def _pool(url: str, timeout_s: float) -> tuple[str, Any]:
    """Pool of connections, and what may be shown of where it leads."""
    options: dict[str, Any] = {
        "socket_timeout": max(timeout_s, PROBE_S),
        "socket_connect_timeout": max(timeout_s, PROBE_S),
        # with RESP3, redis-py 8.1 keeps connections of a server that has restarted: it skips the check for closed ones
        # while it listens for notes about maintenance
        "protocol": 2,
        # a silent retry of an append whose reply was lost would count it twice
        "retry": Retry(NoBackoff(), 0),
    }
    if is_sentinel(url):
        address = parse_sentinel(url)
        return address.name, sentinel_pool(address, **options)
    # a session has a deadline of its own: one more for each write and each read takes a quarter of a call's time
    bounded = {"max_connections": CONNECTIONS, "timeout": timeout_s, "socket_timeout": None}
    return without_secrets(url), redis.BlockingConnectionPool.from_url(url, **options | bounded)


def without_secrets(url: str) -> str:
    """What may be shown of a URL: neither user, password nor options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


@cache
def _source(script: str) -> str:
    return resources.files("recommender.stores").joinpath(f"{script}.lua").read_text(encoding="utf-8")


def _kind(error: ResponseError) -> type[StoreError]:
    text = str(error)
    if isinstance(error, OutOfMemoryError) or text.startswith(FULL):
        return StoreFullError
    return StoreUnavailableError if text.startswith(AWAY) else StoreError


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
