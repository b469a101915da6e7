"""Registry: versions of a model on disk, written at once, verified when read, without pickle."""

from recommender.registry.artifact import Artifact, Current, VersionInfo
from recommender.registry.registry import Registry

__all__ = ["Artifact", "Current", "Registry", "VersionInfo"]
