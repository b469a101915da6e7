"""Storage backends of the archive: a folder or an object store. Segments are immutable."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from recommender.errors import ArtifactError
from recommender.storage.atomic_files import TEMPORARY, replacing
from recommender.storage.object_store import Bucket, is_url

YOUNG_S = 600.0
"""A file that nobody names may belong to a version on its way, for so long."""


class ArchiveBackend(Protocol):
    """Protocol of the archive's storage backends."""

    @property
    def location(self) -> str | Path:
        """For messages."""

    def adding(self, name: str) -> AbstractContextManager[BinaryIO]:
        """File that is there, whole and durable, when the block ends well, or not at all."""

    def path(self, name: str, size_bytes: int) -> Path:
        """File of this machine with the content; FileNotFoundError where there is none."""

    def is_copy(self) -> bool:
        """Whether `path` gives a copy, which may be damaged while what it is of is not."""

    def forget(self, name: str) -> None:
        """Drop the copy."""

    def remove(self, names: Collection[str]) -> None:
        """Remove files; those that are gone already do no harm."""

    def prune(self, named: Collection[str]) -> list[str]:
        """Remove what nobody names and is not young; returns the names."""


def open_backend(location: Path | str) -> ArchiveBackend:
    """Drawer in a folder, or behind the URL of a bucket."""
    return ObjectStoreArchive(Bucket(str(location))) if is_url(location) else FolderArchive(Path(location))


def remove_files(backend: ArchiveBackend, names: Collection[str]) -> None:
    """Remove files of an archive; those that are gone already do no harm.

    Raises
    ------
    ArtifactError
        The disk fails.
    """
    try:
        backend.remove(names)
    except OSError as error:
        raise ArtifactError(f"cannot remove from the archive {backend.location}: {error}") from error


class FolderArchive:
    """Storage backend in a folder, which is made by the first segment."""

    def __init__(self, folder: Path) -> None:
        self.location = folder

    @contextmanager
    def adding(self, name: str) -> Iterator[BinaryIO]:
        """File that is there, whole and durable, when the block ends well, or not at all."""
        self.location.mkdir(parents=True, exist_ok=True)
        with replacing(self.location / name) as file:
            yield file

    def path(self, name: str, size_bytes: int) -> Path:  # noqa: ARG002 (the archive looks at the size itself)
        """File with the content."""
        return self.location / name

    def is_copy(self) -> bool:
        """It is the thing itself."""
        return False

    def forget(self, name: str) -> None:
        """Nothing to do."""

    def remove(self, names: Collection[str]) -> None:
        """Remove files; those that are gone already do no harm."""
        for name in names:
            (self.location / name).unlink(missing_ok=True)

    def prune(self, named: Collection[str]) -> list[str]:
        """Remove what nobody names and is not young; returns the names."""
        if not self.location.is_dir():
            return []
        oldest = time.time() - YOUNG_S
        doomed = [path for path in self.location.iterdir() if _is_ours(path.name) and path.name not in named]
        return sorted(path.name for path in doomed if _unlinked_if_older(path, oldest))


class ObjectStoreArchive:
    """Storage backend in an object store, with a cache on this machine."""

    def __init__(self, bucket: Bucket) -> None:
        self.location = bucket.url
        self._bucket = bucket
        self._cache = bucket.cache()

    @contextmanager
    def adding(self, name: str) -> Iterator[BinaryIO]:
        """Object that is there, whole and durable, when the block ends well, or not at all."""
        with replacing(self._cache / name) as file:
            yield file
        self._bucket.upload(self._cache / name, name)

    def path(self, name: str, size_bytes: int) -> Path:
        """Copy of the content, fetched where there is none as long."""
        path = self._cache / name
        if not path.exists() or path.stat().st_size != size_bytes:
            self._bucket.download(name, path)
        return path

    def is_copy(self) -> bool:
        """It is one."""
        return True

    def forget(self, name: str) -> None:
        """Drop the copy."""
        (self._cache / name).unlink(missing_ok=True)

    def remove(self, names: Collection[str]) -> None:
        """Remove objects and their copies; those that are gone already do no harm."""
        self._bucket.remove(names)
        for name in names:
            self.forget(name)

    def prune(self, named: Collection[str]) -> list[str]:
        """Remove what nobody names and is not young; returns the names."""
        oldest = time.time() - YOUNG_S
        for path in self._cache.iterdir():
            if _is_ours(path.name) and path.name not in named:
                _unlinked_if_older(path, oldest)
        unnamed = [name for name in self._bucket.sizes() if _is_ours(name) and name not in named]
        removed = [name for name in unnamed if self._bucket.written_at(name) < oldest]
        self._bucket.remove(removed)
        return sorted(removed)


def _is_ours(name: str) -> bool:
    return name.endswith(".parquet") or name.startswith(TEMPORARY)


def _unlinked_if_older(path: Path, oldest: float) -> bool:
    try:
        if path.stat().st_mtime >= oldest:
            return False
        path.unlink()
    except FileNotFoundError:  # another process was faster
        return False
    return True
