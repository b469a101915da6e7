"""Feature store and interaction log: protocols, an in-memory and a Redis implementation."""

from recommender.stores.embedded_valkey import EmbeddedValkey
from recommender.stores.memory_store import MemoryStore
from recommender.stores.open import open_store
from recommender.stores.protocols import FeatureStore, InteractionLog, Store
from recommender.stores.redis_store import RedisStore

__all__ = [
    "EmbeddedValkey",
    "FeatureStore",
    "InteractionLog",
    "MemoryStore",
    "RedisStore",
    "Store",
    "open_store",
]
