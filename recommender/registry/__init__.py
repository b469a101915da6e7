"""Registry: versions of a model on disk, written at once, verified when read, without pickle."""

from recommender.registry.registry import Artifact, Current, Registry, VersionInfo

__all__ = ["Artifact", "Current", "Registry", "VersionInfo"]
