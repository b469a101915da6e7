"""File store: small files by name in a folder, with the methods of `Bucket`, or in a bucket."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from recommender.storage.atomic_files import TEMPORARY, replacing
from recommender.storage.object_store import Bucket, is_url


class FileStore(Protocol):
    """Files by their names relative to a place; a name may have slashes."""

    url: str

    def sizes(self) -> dict[str, int]:
        """Bytes of every file, by name."""

    def read(self, name: str) -> bytes:
        """Content of a file; FileNotFoundError where there is none."""

    def create(self, name: str, content: bytes) -> bool:
        """Make a file; False when there is another of this name, which stays as it is."""

    def upload(self, path: Path, name: str) -> None:
        """Copy a file of this machine into it; it appears as a whole."""

    def download(self, name: str, path: Path) -> None:
        """Copy out of it into a file of this machine."""

    def remove(self, names: Collection[str]) -> None:
        """Remove files; those that are gone already do no harm."""


class Folder:
    """File store in a folder, which is made by the first file.

    Parameters
    ----------
    path
        Of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.url = str(path)
        self._path = path

    def sizes(self) -> dict[str, int]:
        """Bytes of every file that is whole, by name."""
        files = (path for path in self._path.rglob("*") if path.is_file() and not path.name.startswith(TEMPORARY))
        return {path.relative_to(self._path).as_posix(): path.stat().st_size for path in files}

    def read(self, name: str) -> bytes:
        """Content of a file."""
        return (self._path / name).read_bytes()

    def create(self, name: str, content: bytes) -> bool:
        """Make a file; False when there is another of this name, which stays as it is."""
        path = self._path / name
        if path.exists():
            return path.read_bytes() == content
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(content)
        return True

    def upload(self, path: Path, name: str) -> None:
        """Copy a file into it."""
        target = self._path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as source, replacing(target) as file:
            shutil.copyfileobj(source, file)

    def download(self, name: str, path: Path) -> None:
        """Copy out of it into a file, which appears as a whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with (self._path / name).open("rb") as source, replacing(path) as file:
            shutil.copyfileobj(source, file)

    def remove(self, names: Collection[str]) -> None:
        """Remove files; those that are gone already do no harm."""
        for name in names:
            (self._path / name).unlink(missing_ok=True)


def open_files(location: str | Path) -> FileStore:
    """File store in a folder, or behind the URL of a bucket."""
    return Bucket(str(location)) if is_url(location) else Folder(Path(location))
