"""Artifact: the arrays and metadata of a version, as the registry takes and gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

from recommender.storage.registry.safetensors_file import Arrays
from recommender.storage.registry.version_meta import VersionMeta


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


@dataclass(frozen=True)
class VersionInfo:
    """A version as its manifest describes it; `bytes` without the manifest itself."""

    version: str
    parent: str | None
    created_at: datetime
    status: Literal["active", "ready", "rejected"]
    reason: str | None
    bytes: int
    meta: VersionMeta
