"""`open_store`: a store by its URL."""

from __future__ import annotations

from recommender.errors import InvalidDataError
from recommender.stores.memory_store import MemoryStore
from recommender.stores.protocols import Store
from recommender.stores.redis_store import (
    EVENT_ID_WINDOW_S,
    FETCH_TIMEOUT_S,
    MAX_BACKLOG,
    PREFIX,
    TIMEOUT_S,
    RedisStore,
)
from recommender.stores.sentinel import SCHEMES as SENTINELS

MEMORY = "memory:"
SCHEMES = ("redis://", "rediss://", "unix://", *SENTINELS)
CLUSTERED = ("redis+cluster://", "rediss+cluster://")


def open_store(
    url: str,
    *,
    prefix: str = PREFIX,
    max_backlog: int = MAX_BACKLOG,
    event_id_window_s: int = EVENT_ID_WINDOW_S,
    fetch_timeout_s: float = FETCH_TIMEOUT_S,
    timeout_s: float = TIMEOUT_S,
) -> Store:
    """Open the store behind a URL; nothing is asked of it yet.

    Parameters
    ----------
    url
        ``redis://``, ``rediss://``, ``unix://``, or ``memory:`` for an empty one in this process.
    prefix, max_backlog, event_id_window_s, fetch_timeout_s, timeout_s
        See `RedisStore`.

    Raises
    ------
    InvalidDataError
        The URL is malformed or of another kind.
    """
    if url == MEMORY:
        return MemoryStore(max_backlog=max_backlog)
    if url.startswith(CLUSTERED):
        raise InvalidDataError(
            f"{url.partition('://')[0]}:// is not supported: all keys have one hash tag, so that a cluster keeps them"
            " on one node and adds nothing. Name the primary with redis://, or its sentinels with redis+sentinel://"
        )
    if not url.startswith(SCHEMES):
        raise InvalidDataError(f"the URL of a store is {MEMORY} or starts with {', '.join(SCHEMES)}")
    return RedisStore(
        url,
        prefix=prefix,
        max_backlog=max_backlog,
        event_id_window_s=event_id_window_s,
        fetch_timeout_s=fetch_timeout_s,
        timeout_s=timeout_s,
    )
