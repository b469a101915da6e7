"""Model registry: versions of a model, published atomically, verified when read, without pickle."""

from recommender.storage.registry.artifact import Artifact, Current, VersionInfo
from recommender.storage.registry.registry import Registry
from recommender.storage.registry.version_meta import VersionMeta

__all__ = ["Artifact", "Current", "Registry", "VersionInfo", "VersionMeta"]
