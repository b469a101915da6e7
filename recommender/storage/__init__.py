"""Durable state: the model registry and the interaction archive, in a folder or an object store."""

from typing import TYPE_CHECKING

from recommender.deferred_imports import lazy_members

if TYPE_CHECKING:
    from recommender.storage.archive.archive import Archive
    from recommender.storage.object_store import Bucket
    from recommender.storage.registry.artifact import Artifact, VersionInfo
    from recommender.storage.registry.registry import Registry
    from recommender.storage.registry.version_meta import VersionMeta
else:
    __getattr__ = lazy_members(
        __name__,
        {
            "Archive": "archive.archive",
            "Artifact": "registry.artifact",
            "Bucket": "object_store",
            "Registry": "registry.registry",
            "VersionInfo": "registry.artifact",
            "VersionMeta": "registry.version_meta",
        },
    )

__all__ = ["Archive", "Artifact", "Bucket", "Registry", "VersionInfo", "VersionMeta"]
