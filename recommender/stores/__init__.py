"""Feature store and interaction log: protocols, an in-memory and a Redis implementation."""

from typing import TYPE_CHECKING

from recommender.deferred_imports import lazy_members

if TYPE_CHECKING:
    from recommender.stores.embedded_valkey import EmbeddedValkey
    from recommender.stores.memory_store import MemoryStore
    from recommender.stores.open import open_store
    from recommender.stores.protocols import FeatureStore, InteractionLog, Store
    from recommender.stores.redis_store import RedisStore
else:
    __getattr__ = lazy_members(
        __name__,
        {
            "EmbeddedValkey": "embedded_valkey",
            "FeatureStore": "protocols",
            "InteractionLog": "protocols",
            "MemoryStore": "memory_store",
            "RedisStore": "redis_store",
            "Store": "protocols",
            "open_store": "open",
        },
    )

__all__ = ["EmbeddedValkey", "FeatureStore", "InteractionLog", "MemoryStore", "RedisStore", "Store", "open_store"]
