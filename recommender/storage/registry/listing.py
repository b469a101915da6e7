"""Listing of versions: what a manifest says of one, which are the newest, and in which order they should serve."""

from __future__ import annotations

from collections.abc import Sequence

from recommender.storage.registry.artifact import Pointer, VersionInfo
from recommender.storage.registry.backend import is_version
from recommender.storage.registry.manifest import Manifest, Status


def in_order(versions: Sequence[str], pointer: Pointer) -> list[str]:
    """All versions, which come newest first, in the order in which they should serve; held ones last."""
    kept = sorted(versions, key=lambda each: each in pointer.held)
    named = pointer.version
    if named is None or not is_version(named):
        return kept
    older = [version for version in kept if pointer.pinned and int(version) < int(named)]
    first = [version for version in kept if version == named] + older
    return first + [version for version in kept if version not in first]


def newest_of(manifests: Sequence[Manifest], status: Status) -> list[str]:
    """Versions of a status, in their order."""
    return [manifest.version for manifest in manifests if manifest.status == status]


def info_of(manifest: Manifest, active: str | None, pointer: Pointer) -> VersionInfo:
    """A version as its manifest and the pointer describe it."""
    return VersionInfo(
        manifest.version,
        manifest.parent,
        manifest.created_at,
        "active" if manifest.version == active else pointer.status_of(manifest.version, manifest.status),
        pointer.rolled_back.get(manifest.version, manifest.reason),
        sum(entry.bytes for entry in manifest.files),
        manifest.meta,
    )
