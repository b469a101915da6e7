"""Artifact: the arrays and metadata of a version, as the registry takes and gives them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

from recommender.errors import ArtifactError
from recommender.storage.registry.safetensors_file import Arrays, non_finite
from recommender.storage.registry.version_meta import VersionMeta

WrittenStatus = Literal["ready", "rejected"]
VersionStatus = Literal["active", "ready", "rejected", "canary", "rolled_back"]
MAY_SERVE = ("active", "ready")
"""Statuses of the versions that are activated by themselves, and that others build on."""
_PART = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Artifact:
    """Arrays and metadata of a version.

    Parameters
    ----------
    parts
        Named sets of arrays; each becomes a file, so that who needs one reads no other.
    meta
        Stands in the manifest, so that a listing shows it without reading an array.
    """

    parts: Mapping[str, Arrays]
    meta: VersionMeta


class Current(msgspec.Struct, frozen=True):
    """The serving version, and whether it is pinned.

    Parameters
    ----------
    version
        None when there is none that can serve.
    pinned
        Somebody chose it; it stays until `Registry.follow`.
    """

    version: str | None
    pinned: bool


class Pointer(Current, frozen=True):
    """Stored form of `Current`; `newest` is the newest version when it was pinned."""

    newest: str | None = None
    canary: str | None = None
    """Version that serves a share of the users first; it is not activated by itself."""
    rolled_back: dict[str, str] = {}
    """Versions that were canaries and did not do, and why; they are not activated by themselves either."""

    @property
    def held(self) -> set[str | None]:
        """Versions that are not activated by themselves."""
        return {self.canary, *self.rolled_back}

    def status_of(self, version: str, written: WrittenStatus) -> VersionStatus:
        """Status of a version that is not the active one."""
        if version == self.canary:
            return "canary"
        return "rolled_back" if version in self.rolled_back else written


@dataclass(frozen=True)
class VersionInfo:
    """A version as its manifest describes it; `bytes` without the manifest itself."""

    version: str
    parent: str | None
    created_at: datetime
    status: VersionStatus
    reason: str | None
    bytes: int
    meta: VersionMeta
    refused: str | None = None
    """Why it is not loaded, in words: it is not signed as it has to be."""

    @property
    def may_serve(self) -> bool:
        """Whether it is activated by itself, and others build on it."""
        return self.status in MAY_SERVE and self.refused is None


def require_storable(artifact: Artifact, status: WrittenStatus) -> None:
    """Check that an artifact may be published.

    Raises
    ------
    ArtifactError
        A part has no name for a file, or a version that is to serve has a number that is not finite.
    """
    for part, arrays in artifact.parts.items():
        if not _PART.fullmatch(part):
            raise ArtifactError(f"{part!r} is not a name for a part")
        if status == "ready" and (names := non_finite(arrays)):
            raise ArtifactError(f"{part}: {', '.join(names)} not finite")


def payload_bytes(artifact: Artifact) -> int:
    """Bytes of all arrays."""
    return sum(array.nbytes for arrays in artifact.parts.values() for array in arrays.values())


def file_name(part: str) -> str:
    """Name of the file of a part."""
    return f"{part}.safetensors"


def part_of(name: str) -> str:
    """Part that a file holds; one that was rewritten has a suffix behind a hyphen."""
    return name.removesuffix(".safetensors").partition("-")[0]
