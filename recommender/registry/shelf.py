"""Shelf: the folder where versions stand. Numbers them, lets them appear and vanish in one step."""

from __future__ import annotations

import errno
import logging
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from recommender import files
from recommender.errors import UnknownVersionError

logger = logging.getLogger("recommender.registry")

LAST, LOCK, QUARANTINE = "LAST", ".lock", "quarantine"
RESERVE_BYTES = 1 << 20
"""Room that manifest and folders take beside the arrays."""

_VERSION = re.compile(r"[0-9]{8,18}")


def is_version(name: str) -> bool:
    """Whether a version may be called so; such a name is safe in a path."""
    return bool(_VERSION.fullmatch(name))


class Shelf:
    """Folders named by version, and the one lock that whoever changes something holds.

    Parameters
    ----------
    folder
        Need not be there before `prepare`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def versions(self) -> list[str]:
        """Names, newest first."""
        return _versions_in(self.folder)

    def path(self, version: str) -> Path:
        """Folder of a version.

        Raises
        ------
        UnknownVersionError
            There is none; a name that is no number never becomes a path.
        """
        if not is_version(version) or not (self.folder / version).is_dir():
            raise UnknownVersionError(f"there is no version {version!r}")
        return self.folder / version

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Nobody else changes anything meanwhile."""
        with files.locked(self.folder / LOCK):
            yield

    def prepare(self, needed_bytes: int) -> None:
        """Make the folder, and check that so much fits.

        Raises
        ------
        OSError
            It does not.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        needed, free = needed_bytes + RESERVE_BYTES, shutil.disk_usage(self.folder).free
        if free < needed:
            raise OSError(errno.ENOSPC, f"{needed:,} bytes are needed and {free:,} are free")

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Folder that is gone when the block ends, unless it was put on the shelf."""
        draft = self.folder / files.temporary_name()
        with ExitStack() as stack:
            with self.lock():
                draft.mkdir()
                stack.callback(shutil.rmtree, draft, ignore_errors=True)
                # tells `sweep` that the writer lives; its process id would not in another container
                stack.enter_context(files.locked(draft / LOCK))
            yield draft

    def put(self, draft: Path, version: str) -> None:
        """Let a draft appear as `version`. Under the lock."""
        (draft / LOCK).unlink()
        files.sync_folder(draft)
        files.move(draft, self.folder / version)

    def next_version(self) -> str:
        """Name that no version ever had. Under the lock."""
        version = f"{max(map(int, self._taken()), default=0) + 1:08d}"
        with files.replacing(self.folder / LAST) as file:
            file.write(version.encode())
        return version

    def set_aside(self, version: str) -> Path:
        """Move a version into the quarantine; returns where it is. Under the lock."""
        aside = self.folder / QUARANTINE
        aside.mkdir(exist_ok=True)
        files.move(self.path(version), aside / version)
        return aside / version

    def remove(self, versions: Collection[str]) -> None:
        """Remove versions, each out of sight in one step before its files go. Under the lock."""
        for version in versions:
            doomed = self.folder / files.temporary_name()
            files.move(self.path(version), doomed)
            shutil.rmtree(doomed, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what writers that died have left unfinished."""
        if not any(self._unfinished()):
            return
        try:
            with self.lock():
                for path in self._unfinished():
                    _remove_unless_in_use(path)
        except OSError as error:
            logger.warning("cannot tidy %s: %s", self.folder, error)

    def _unfinished(self) -> list[Path]:
        return list(self.folder.glob(f"{files.TEMPORARY}*"))

    def _taken(self) -> list[str]:
        # LAST remembers those whose folders are gone
        counter = self.folder / LAST
        last = counter.read_bytes().decode(errors="replace") if counter.exists() else ""
        remembered = [last] if is_version(last) else []
        return self.versions() + _versions_in(self.folder / QUARANTINE) + remembered


def _versions_in(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir())
    return sorted(filter(is_version, names), key=int, reverse=True)


def _remove_unless_in_use(path: Path) -> None:
    if not path.is_dir():
        # a single file is written under the lock, which is ours now
        path.unlink(missing_ok=True)
        return
    try:
        with files.locked(path / LOCK, wait=False):
            shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        pass
