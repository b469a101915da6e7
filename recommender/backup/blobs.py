"""Blobs: contents under their hash, so that what was backed up before is not written again."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
import xxhash

from recommender.errors import CorruptArtifactError
from recommender.storage.file_store import FileStore

CHUNK_BYTES = 8 << 20
FOLDER = "objects"
HASHES: dict[str, Any] = {"sha256": hashlib.sha256, "xxh3_128": xxhash.xxh3_128}


class Blob(msgspec.Struct, frozen=True):
    """A content: how it is hashed, the hash, and its length."""

    algorithm: str
    digest: str
    bytes: int

    @property
    def name(self) -> str:
        """Where it is in a back-up."""
        return f"{FOLDER}/{self.digest[:2]}/{self.algorithm}-{self.digest}"


class BlobStore:
    """Contents of a back-up, by their hash.

    Parameters
    ----------
    files
        Of the back-up.

    Attributes
    ----------
    written_bytes : int
        What was new.
    reused_bytes : int
        What was there.
    """

    def __init__(self, files: FileStore) -> None:
        self._files = files
        self._there = {name: size for name, size in files.sizes().items() if name.startswith(f"{FOLDER}/")}
        self.written_bytes = self.reused_bytes = 0

    def has(self, blob: Blob) -> bool:
        """Whether a content is there, as long as it was."""
        return self._there.get(blob.name) == blob.bytes

    def put(self, content: bytes) -> Blob:
        """Keep a content."""
        blob = Blob("sha256", hashlib.sha256(content).hexdigest(), len(content))
        if self.has(blob):
            self.reused_bytes += blob.bytes
            return blob
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "blob"
            path.write_bytes(content)
            self._upload(path, blob)
        return blob

    def copy(self, source: FileStore, name: str, expected: Blob | None = None) -> Blob:
        """Keep a file of another store.

        Parameters
        ----------
        source, name
            Where it is.
        expected
            What it must be, where that is known; what is there already is then not even read.

        Raises
        ------
        FileNotFoundError
            It is gone.
        CorruptArtifactError
            It is not what was expected.
        """
        if expected is not None and self.has(expected):
            self.reused_bytes += expected.bytes
            return expected
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "blob"
            source.download(name, path)
            found = blob_of(path, expected.algorithm if expected else "sha256")
            if expected is not None and found != expected:
                raise CorruptArtifactError(f"{source.url}/{name} is not what was written")
            if self.has(found):
                self.reused_bytes += found.bytes
            else:
                self._upload(path, found)
        return found

    def read(self, blob: Blob) -> bytes:
        """Content, verified.

        Raises
        ------
        CorruptArtifactError
            It is missing or not what was written.
        """
        try:
            content = self._files.read(blob.name)
        except FileNotFoundError as error:
            raise CorruptArtifactError(f"{self._files.url}/{blob.name} is missing") from error
        self._check(blob, Blob(blob.algorithm, HASHES[blob.algorithm](content).hexdigest(), len(content)))
        return content

    def download(self, blob: Blob, path: Path) -> None:
        """Copy a content into a file, verified. Raises as `read` does."""
        try:
            self._files.download(blob.name, path)
        except FileNotFoundError as error:
            raise CorruptArtifactError(f"{self._files.url}/{blob.name} is missing") from error
        self._check(blob, blob_of(path, blob.algorithm))

    def verify(self, blob: Blob) -> None:
        """Read a content. Raises as `read` does."""
        with tempfile.TemporaryDirectory() as folder:
            self.download(blob, Path(folder) / "blob")

    def remove_others(self, named: Collection[str]) -> int:
        """Remove contents that no back-up names; returns how many."""
        doomed = [name for name in self._there if name not in named]
        self._files.remove(doomed)
        return len(doomed)

    def _upload(self, path: Path, blob: Blob) -> None:
        self._files.upload(path, blob.name)
        self.verify(blob)  # a copy that nobody has read is none
        self._there[blob.name] = blob.bytes
        self.written_bytes += blob.bytes

    def _check(self, blob: Blob, found: Blob) -> None:
        if found != blob:
            raise CorruptArtifactError(f"{self._files.url}/{blob.name} is not what was written")


def blob_of(path: Path, algorithm: str) -> Blob:
    """What a file holds."""
    digest: Any = HASHES[algorithm]()
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return Blob(algorithm, digest.hexdigest(), size)
