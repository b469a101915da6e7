"""Listing of versions: what a manifest says of one, which are the newest, and in which order they should serve."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

from recommender.storage.registry.artifact import Pointer, VersionInfo
from recommender.storage.registry.backend import is_version
from recommender.storage.registry.manifest import Manifest


def in_order(versions: Sequence[str], pointer: Pointer) -> list[str]:
    """All versions, which come newest first, in the order in which they should serve; held ones last."""
    kept = sorted(versions, key=lambda each: each in pointer.held)
    named = pointer.version
    if named is None or not is_version(named):
        return kept
    older = [version for version in kept if pointer.pinned and int(version) < int(named)]
    first = [version for version in kept if version == named] + older
    return first + [version for version in kept if version not in first]


def beyond(
    manifests: Sequence[Manifest], keep: int, serving: Set[str | None], refusal: Callable[[Manifest], str | None]
) -> list[str]:
    """Versions that are not among the newest `keep` of their kind: ready, rejected, refused.

    Parameters
    ----------
    manifests
        Newest first.
    keep
        Of each kind.
    serving
        Versions that stay, and with each its parent.
    refusal
        Why one is refused; it must not take the place of one that may serve.
    """
    kinds: dict[str, list[str]] = {}
    for each in manifests:
        kinds.setdefault("refused" if refusal(each) else each.status, []).append(each.version)
    spared = serving | {each.parent for each in manifests if each.version in serving}
    return [version for kind in kinds.values() for version in kind[keep:] if version not in spared]


def info_of(manifest: Manifest, active: str | None, pointer: Pointer, refused: str | None = None) -> VersionInfo:
    """A version as its manifest and the pointer describe it."""
    return VersionInfo(
        manifest.version,
        manifest.parent,
        manifest.created_at,
        "active" if manifest.version == active else pointer.status_of(manifest.version, manifest.status),
        pointer.rolled_back.get(manifest.version, manifest.reason),
        sum(entry.bytes for entry in manifest.files),
        manifest.meta,
        refused,
    )
