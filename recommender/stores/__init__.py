"""Feature store and interaction log: protocols, an in-memory and a Redis implementation."""

from recommender.errors import InvalidDataError
from recommender.stores.base import FeatureStore, InteractionLog, Store
from recommender.stores.embedded import EmbeddedValkey
from recommender.stores.memory import MemoryStore
from recommender.stores.redis import RedisStore

SCHEMES = ("redis://", "rediss://", "unix://")


def open_store(url: str) -> RedisStore:
    """Open the store behind a URL; nothing is asked of it yet.

    Raises
    ------
    InvalidDataError
        The URL is none that is supported.
    """
    if not url.startswith(SCHEMES):
        raise InvalidDataError(f"redis_url must be embedded or start with {', '.join(SCHEMES)}")
    return RedisStore(url)


__all__ = [
    "EmbeddedValkey",
    "FeatureStore",
    "InteractionLog",
    "MemoryStore",
    "RedisStore",
    "Store",
    "open_store",
]
