"""Atomic files: each is whole and durable, or not there at all."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".tmp-"
"""How names of unfinished files and folders begin; no reader looks at them."""


def user_cache() -> Path:
    """Folder for copies of what can be fetched again: ``$RECOMMENDER_CACHE``, or ``~/.cache/lightfm-serve``."""
    base = os.environ.get("RECOMMENDER_CACHE")
    return Path(base) if base else Path.home() / ".cache" / "lightfm-serve"


def temporary_name() -> str:
    """Name that nobody else uses, with the process that made it for whoever finds it."""
    return f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """File that appears as `path`, whole and durable, when the block ends well; else `path` is as before."""
    temporary = path.with_name(temporary_name())
    try:
        with temporary.open("xb") as file:
            yield file
            sync(file)
        move(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sync(file: BinaryIO) -> None:
    """Wait until what was written into `file` is on disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in `folder` are on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move(source: Path, target: Path) -> None:
    """Rename in one step, durably. A file replaces a file; a folder never replaces one with content."""
    os.rename(source, target)  # noqa: PTH104 - tests let exactly this call fail
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock file `path`, alone among processes and threads; the system frees what a dead one held.

    Raises
    ------
    BlockingIOError
        Somebody holds it, and `wait` is off.
    """
    # opened for writing because NFS turns down an exclusive lock on what is open for reading
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)
