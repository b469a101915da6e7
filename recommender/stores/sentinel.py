"""Redis Sentinel: a connection pool that asks the sentinels where the primary is, whenever it connects."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

SCHEMES = ("redis+sentinel://", "rediss+sentinel://")
PORT = 26_379
MOST_CONNECTIONS = 256
"""A pool of Sentinel's does not wait for a free connection, as others do."""


class SentinelAddress(NamedTuple):
    """What a URL ``redis+sentinel://user:password@host:port,host:port/service/db`` says.

    User and password are those of the servers; of the sentinels, where they ask for one, it is
    ``?sentinel_password=``.
    """

    sentinels: list[tuple[str, int]]
    service: str
    db: int
    username: str | None
    password: str | None
    sentinel_password: str | None
    ssl: bool

    @property
    def name(self) -> str:
        """What may be shown: neither user nor password."""
        hosts = ",".join(f"{host}:{port}" for host, port in self.sentinels)
        return f"{'rediss' if self.ssl else 'redis'}+sentinel://{hosts}/{self.service}"


def is_sentinel(url: str) -> bool:
    """Whether a URL names sentinels."""
    return url.startswith(SCHEMES)


def parse_sentinel(url: str) -> SentinelAddress:
    """Address of a URL.

    Raises
    ------
    ValueError
        No host or no service is named, or a number is none.
    """
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    service, _, db = parts.path.strip("/").partition("/")
    sentinels = [_host(each) for each in hosts.split(",") if each]
    if not sentinels or not service:
        raise ValueError("name sentinels and a service: redis+sentinel://host:26379,host:26379/service")
    (own,) = parse_qs(parts.query).get("sentinel_password", [""])[:1]
    ssl = parts.scheme.startswith("rediss")
    return SentinelAddress(
        sentinels, service, int(db or 0), unquote(username) or None, unquote(password) or None, own or None, ssl
    )


def sentinel_pool(address: SentinelAddress, **options: Any) -> SentinelConnectionPool:
    """Pool of connections to the primary; a new connection goes to whoever is it then."""
    timeouts = {name: options[name] for name in ("socket_timeout", "socket_connect_timeout")}
    sentinels: Any = Sentinel  # redis-py leaves both untyped
    pool: Any = SentinelConnectionPool
    asked = sentinels(address.sentinels, sentinel_kwargs={**timeouts, "password": address.sentinel_password})
    made: SentinelConnectionPool = pool(
        address.service,
        asked,
        ssl=address.ssl,
        check_connection=False,
        db=address.db,
        username=address.username,
        password=address.password,
        max_connections=MOST_CONNECTIONS,
        **options,
    )
    return made


async def close_sentinels(pool: Any) -> None:
    """Close what asks the sentinels; nothing where a pool has none."""
    if isinstance(pool, SentinelConnectionPool):
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


def _host(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    return (host, int(port)) if colon else (text, PORT)
