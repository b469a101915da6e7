"""Feature store and interaction log: protocols, an in-memory and a Redis implementation."""

from recommender.stores.base import FeatureStore, InteractionLog, Store
from recommender.stores.connect import open_store
from recommender.stores.embedded import EmbeddedValkey
from recommender.stores.memory import MemoryStore
from recommender.stores.redis import RedisStore

__all__ = [
    "EmbeddedValkey",
    "FeatureStore",
    "InteractionLog",
    "MemoryStore",
    "RedisStore",
    "Store",
    "open_store",
]
