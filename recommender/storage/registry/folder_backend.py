"""Folder backend of the registry: a version becomes visible by an atomic rename."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from recommender.errors import ArtifactError, CorruptArtifactError, UnknownVersionError
from recommender.storage import atomic_files
from recommender.storage.registry.backend import is_version, newest_first, require_next, require_room
from recommender.storage.registry.manifest import NAME, Manifest, encoded_manifest, read_manifest, write_manifest
from recommender.storage.registry.safetensors_file import ArraySpec, FileEntry, read_arrays, require_size, sha256_of

logger = logging.getLogger("recommender.storage.registry")

CURRENT, LAST, LOCK, QUARANTINE = "CURRENT", "LAST", ".lock", "quarantine"

T = TypeVar("T")


class FolderBackend:
    """Storage backend in a folder: a subfolder for each version, one lock for changes.

    Parameters
    ----------
    folder
        Need not be there before the first draft.
    """

    def __init__(self, folder: Path) -> None:
        self.location = folder

    def exists(self) -> bool:
        """Whether anything was ever put here."""
        return self.location.is_dir()

    def look(self) -> None:
        """Nothing to do: a folder is looked at anew each time."""

    def versions(self) -> list[str]:
        """Names, newest first."""
        return _versions_in(self.location)

    def require(self, version: str) -> None:
        """Check that there is such a version.

        Raises
        ------
        UnknownVersionError
            There is none; a name that is no number never becomes a path.
        """
        self._path(version)

    def complete_manifest(self, version: str) -> Manifest:
        """Manifest of a version whose files are all there, as long as they were written."""
        manifest = self.manifest(version)
        try:
            self._require_sizes(manifest)
        except CorruptArtifactError:
            again = self.manifest(version)
            if again == manifest:
                raise
            # it was rewritten between two looks
            self._require_sizes(again)
            return again
        return manifest

    def manifest(self, version: str) -> Manifest:
        """Manifest of a version, verified."""
        return read_manifest(self._path(version))

    def read(self, version: str, entry: FileEntry, specs: Mapping[str, ArraySpec]) -> dict[str, NDArray[Any]]:
        """Arrays of a file, verified."""
        return read_arrays(self._path(version) / entry.name, entry, specs)

    def sha256(self, version: str, entry: FileEntry) -> str:
        """SHA-256 of a file, verified."""
        return sha256_of(self._path(version) / entry.name, entry)

    def pointer(self) -> bytes | None:
        """What was last pointed at."""
        try:
            return (self.location / CURRENT).read_bytes()
        except FileNotFoundError:
            return None

    def point(self, content: bytes) -> None:
        """Point at something else, in one step. Within `change`."""
        with atomic_files.replacing(self.location / CURRENT) as file:
            file.write(content)

    def change(self, work: Callable[[], T]) -> T:
        """Do what changes something; nobody else changes anything meanwhile."""
        with self._lock():
            return work()

    @contextmanager
    def draft(self, needed_bytes: int) -> Iterator[Path]:
        """Folder for a version's files, gone when the block ends, unless it was put.

        Raises
        ------
        OSError
            So much does not fit.
        """
        self.location.mkdir(parents=True, exist_ok=True)
        require_room(self.location, needed_bytes)
        folder = self.location / atomic_files.temporary_name()
        with ExitStack() as stack:
            with self._lock():
                folder.mkdir()
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
                # tells `sweep` that the writer lives; its process id would not in another container
                stack.enter_context(atomic_files.locked(folder / LOCK))
            yield folder

    def highest(self) -> int:
        """Highest number that was ever given."""
        return max(map(int, self._taken()), default=0)

    def put(self, draft: Path, described: Callable[[str], Manifest], after: int | None) -> str:
        """Let a draft appear."""
        with self._lock():
            require_next(self.highest() + 1, after, self.location)
            version = self._next_version()
            write_manifest(draft, described(version))
            (draft / LOCK).unlink()
            atomic_files.sync_folder(draft)
            atomic_files.move(draft, self.location / version)
        return version

    def rewrite(self, draft: Path, manifest: Manifest) -> None:
        """Let other files take the place of those of a version."""
        folder = self._path(manifest.version)
        named = {NAME, *(entry.name for entry in manifest.files)}
        with self._lock():
            for path in draft.glob("*.safetensors"):
                atomic_files.move(path, folder / path.name)
            with atomic_files.replacing(folder / NAME) as file:
                file.write(encoded_manifest(manifest))
            for path in folder.iterdir():
                if path.name not in named:
                    path.unlink()

    def adopt(self, version: str, files: Path) -> None:
        """Let a version of another registry appear under its own name."""
        manifest = read_manifest(files)
        with self.draft(sum(entry.bytes for entry in manifest.files)) as draft:
            for name in (NAME, *(entry.name for entry in manifest.files)):
                shutil.copyfile(files / name, draft / name)
            for entry in manifest.files:
                require_size(draft / entry.name, entry)
            with self._lock():
                if (self.location / version).exists():
                    raise ArtifactError(f"there is a version {version} in {self.location} already")
                (draft / LOCK).unlink()
                atomic_files.sync_folder(draft)
                atomic_files.move(draft, self.location / version)

    def reserve(self, highest: int) -> None:
        """Give out no number up to this one."""
        self.location.mkdir(parents=True, exist_ok=True)
        with self._lock():
            if highest > self.highest():
                self._remember(f"{highest:08d}")

    def quarantined(self) -> list[str]:
        """Versions that were set aside."""
        return _versions_in(self.location / QUARANTINE)

    def quarantined_manifest(self, version: str) -> Manifest:
        """Manifest of a version that was set aside."""
        return read_manifest(self.location / QUARANTINE / version)

    def drop_quarantined(self) -> list[str]:
        """Remove all versions that were set aside."""
        names = self.quarantined()
        if names:
            with self._lock():
                self._remember(f"{self.highest():08d}")  # their numbers are not given again
                for name in names:
                    shutil.rmtree(self.location / QUARANTINE / name)
        return names

    def set_aside(self, version: str, reason: bytes) -> None:
        """Move a version into the quarantine, together with the reason."""
        aside = self.location / QUARANTINE
        with self._lock():
            aside.mkdir(exist_ok=True)
            atomic_files.move(self._path(version), aside / version)
        with atomic_files.replacing(aside / version / "reason.json") as file:
            file.write(reason)

    def remove(self, versions: Collection[str]) -> None:
        """Remove versions, each out of sight in one step before its files go. Within `change`."""
        for version in versions:
            doomed = self.location / atomic_files.temporary_name()
            atomic_files.move(self._path(version), doomed)
            shutil.rmtree(doomed, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what writers that died have left unfinished."""
        if not any(self._unfinished()):
            return
        try:
            with self._lock():
                for path in self._unfinished():
                    _remove_unless_in_use(path)
        except OSError as error:
            logger.warning("cannot tidy %s: %s", self.location, error)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with atomic_files.locked(self.location / LOCK):
            yield

    def _require_sizes(self, manifest: Manifest) -> None:
        for entry in manifest.files:
            require_size(self._path(manifest.version) / entry.name, entry)

    def _path(self, version: str) -> Path:
        if not is_version(version) or not (self.location / version).is_dir():
            raise UnknownVersionError(f"there is no version {version!r}")
        return self.location / version

    def _next_version(self) -> str:
        """Name that no version ever had. Under the lock."""
        version = f"{self.highest() + 1:08d}"
        self._remember(version)
        return version

    def _remember(self, version: str) -> None:
        """Note the highest number. Under the lock."""
        with atomic_files.replacing(self.location / LAST) as file:
            file.write(version.encode())

    def _unfinished(self) -> list[Path]:
        return list(self.location.glob(f"{atomic_files.TEMPORARY}*"))

    def _taken(self) -> list[str]:
        # LAST remembers those whose folders are gone
        counter = self.location / LAST
        last = counter.read_bytes().decode(errors="replace") if counter.exists() else ""
        remembered = [last] if is_version(last) else []
        return self.versions() + self.quarantined() + remembered


def _versions_in(folder: Path) -> list[str]:
    return newest_first([path.name for path in folder.iterdir()]) if folder.is_dir() else []


def _remove_unless_in_use(path: Path) -> None:
    if not path.is_dir():
        # a single file is written under the lock, which is ours now
        path.unlink(missing_ok=True)
        return
    try:
        with atomic_files.locked(path / LOCK, wait=False):
            shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        pass
