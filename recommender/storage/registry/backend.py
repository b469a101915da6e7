"""Storage backend of the registry: assigns version numbers; publishes and removes versions atomically."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from recommender.errors import StaleTrainingError
from recommender.storage.registry.manifest import Manifest
from recommender.storage.registry.safetensors_file import ArraySpec, FileEntry

T = TypeVar("T")

RESERVE_BYTES = 1 << 20
"""Room that manifest and folders take beside the arrays."""

_VERSION = re.compile(r"[0-9]{8,18}")


class RegistryBackend(Protocol):
    """Protocol of the registry's storage backends."""

    @property
    def location(self) -> str | Path:
        """For messages."""

    def exists(self) -> bool:
        """Whether anything was ever put here."""

    def look(self) -> None:
        """See what there is now: what follows must not miss what others have done before."""

    def versions(self) -> list[str]:
        """Names, newest first."""

    def require(self, version: str) -> None:
        """Raise UnknownVersionError where there is no such version; a name that is no number never becomes a path."""

    def complete_manifest(self, version: str) -> Manifest:
        """Manifest of a version whose files are all there, as long as they were written."""

    def manifest(self, version: str) -> Manifest:
        """Manifest of a version, verified."""

    def read(self, version: str, entry: FileEntry, specs: Mapping[str, ArraySpec]) -> dict[str, NDArray[Any]]:
        """Arrays of a file, verified."""

    def sha256(self, version: str, entry: FileEntry) -> str:
        """SHA-256 of a file, verified."""

    def pointer(self) -> bytes | None:
        """What was last pointed at."""

    def point(self, content: bytes) -> None:
        """Point at something else, in one step. Within `change`."""

    def change(self, work: Callable[[], T]) -> T:
        """Do what changes something: no change of others comes in between. May be done again."""

    def draft(self, needed_bytes: int) -> AbstractContextManager[Path]:
        """Folder for a version's files, gone when the block ends, unless it was put; OSError where no room is left."""

    def highest(self) -> int:
        """Highest number that was ever given to a version, published or not; 0 before the first."""

    def put(self, draft: Path, described: Callable[[str], Manifest], after: int | None) -> str:
        """Let a draft appear, with the manifest of the number that it gets; returns that.

        StaleTrainingError where `after` is given and a number higher than it has been.
        """

    def rewrite(self, draft: Path, manifest: Manifest) -> None:
        """Let other files take the place of those of a version, in one step, and remove what it names no more."""

    def adopt(self, version: str, files: Path) -> None:
        """Let a version of another registry appear under its own name."""

    def reserve(self, highest: int) -> None:
        """Give out no number up to this one."""

    def quarantined(self) -> list[str]:
        """Versions that were set aside, newest first."""

    def quarantined_manifest(self, version: str) -> Manifest:
        """Manifest of a version that was set aside, verified."""

    def drop_quarantined(self) -> list[str]:
        """Remove all versions that were set aside; returns their names."""

    def set_aside(self, version: str, reason: bytes) -> None:
        """Move a version out of sight, together with the reason."""

    def remove(self, versions: Collection[str]) -> None:
        """Remove versions, each out of sight in one step before its files go. Within `change`."""

    def sweep(self) -> None:
        """Remove what writers that died have left unfinished."""


def is_version(name: str) -> bool:
    """Whether a version may be called so; such a name is safe in a path."""
    return bool(_VERSION.fullmatch(name))


def newest_first(names: Collection[str]) -> list[str]:
    """Those among `names` that are versions."""
    return sorted(filter(is_version, names), key=int, reverse=True)


def require_next(number: int, after: int | None, location: str | Path) -> None:
    """Check the fencing token of a writer: that its version comes right behind the newest when it began.

    Raises
    ------
    StaleTrainingError
        Somebody else was given a number since.
    """
    if after is not None and number != after + 1:
        raise StaleTrainingError(
            f"another trainer has published into {location} since this training began; what it learned is learned again"
        )


def require_room(folder: Path, needed_bytes: int) -> None:
    """Check that so much fits.

    Raises
    ------
    OSError
        It does not.
    """
    needed, free = needed_bytes + RESERVE_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(errno.ENOSPC, f"{needed:,} bytes are needed and {free:,} are free")
