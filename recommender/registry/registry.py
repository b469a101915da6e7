"""Registry: publishes, activates, loads and removes versions."""

from __future__ import annotations

import errno
import logging
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
from numpy.typing import NDArray

from recommender import files
from recommender.errors import ArtifactError, CorruptArtifactError, UnknownVersionError
from recommender.registry.arrays import Arrays, non_finite, read_arrays, require_size, specs_of, write_arrays
from recommender.registry.manifest import (
    SCHEMA,
    Manifest,
    NewerSchemaError,
    Status,
    plain_meta,
    read_manifest,
    software,
    write_manifest,
)

logger = logging.getLogger("recommender.registry")

CURRENT, LAST, LOCK, QUARANTINE = "CURRENT", "LAST", ".lock", "quarantine"
RESERVE_BYTES = 1 << 20
"""Room that manifest and folders take beside the arrays."""

_VERSION = re.compile(r"[0-9]{8,}")
_PART = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Artifact:
    """What a version holds.

    Parameters
    ----------
    parts
        Named sets of arrays; each becomes a file, so that who needs one reads no other.
    meta
        JSON; stands in the manifest, so that a listing shows it without reading an array.
    """

    parts: Mapping[str, Arrays]
    meta: Mapping[str, Any]


class Current(msgspec.Struct, frozen=True):
    """Which version serves, and whether a newer one may take its place.

    Parameters
    ----------
    version
        None when there is none that can serve.
    pinned
        Somebody chose it; it stays until `Registry.follow`.
    """

    version: str | None
    pinned: bool


@dataclass(frozen=True)
class VersionInfo:
    """A version as its manifest describes it."""

    version: str
    parent: str | None
    created_at: datetime
    status: Literal["active", "ready", "rejected"]
    reason: str | None
    bytes: int
    meta: Mapping[str, Any]


class Registry:
    """Versions of a model in a folder. The folder is the authority: nothing is remembered outside of it.

    Any number of processes may use one folder. A version appears at once, whole and durable, and never
    changes; its number is never given again.

    Parameters
    ----------
    folder
        Made by the first `publish`. Reading an intact one writes nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reported: set[str] = set()
        self._sweep()

    def publish(self, artifact: Artifact, *, parent: str | None, status: Status, reason: str | None = None) -> str:
        """Write a new version; whatever happens, a part of one is never seen. Returns its name.

        Publishing does not activate: see `advance`.

        Raises
        ------
        ArtifactError
            The artifact cannot be stored, a ready one is not finite, or the disk is full or fails.
        """
        meta = plain_meta(artifact.meta)
        arrays = {part: specs_of(content) for part, content in artifact.parts.items()}
        _require_storable(artifact, status)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._require_space(artifact)
            with self._draft() as draft:
                written = tuple(
                    write_arrays(draft / _file_name(part), content) for part, content in artifact.parts.items()
                )
                with self._lock():
                    version = self._next_version()
                    created_at = datetime.now(UTC)
                    manifest = Manifest(
                        SCHEMA, version, parent, created_at, status, reason, software(), written, arrays, meta
                    )
                    self._complete(draft, manifest)
        except OSError as error:
            raise ArtifactError(f"cannot write a version into {self._folder}: {error}") from error
        return version

    def activate(self, version: str, *, pinned: bool) -> None:
        """Make a version the current one.

        Raises
        ------
        UnknownVersionError
            There is no such version.
        CorruptArtifactError
            It is not what was written.
        ArtifactError
            It was rejected; the message says why.
        """
        with self._lock(version):
            manifest = self._manifest(version)
            if manifest.status == "rejected":
                raise ArtifactError(f"version {version} was rejected: {manifest.reason or 'no reason given'}")
            self._require_files(manifest)
            self._point_at(Current(version, pinned))

    def follow(self) -> Current:
        """Unpin, and activate the newest ready version."""
        if not self._folder.is_dir():
            return Current(None, pinned=False)
        with self._lock():
            return self._follow()

    def advance(self) -> Current:
        """Activate the newest ready version, unless one is pinned: what to call after `publish`."""
        if not self._folder.is_dir():
            return Current(None, pinned=False)
        with self._lock():
            return self.current() if self._pointer().pinned else self._follow()

    def current(self) -> Current:
        """Version that should serve: the activated one, or what stands in for it.

        Where none was activated, or that one is gone or damaged, the newest ready one serves; for a
        pinned one an older is preferred, because whoever pinned it left the newer ones on purpose.
        Files are checked for presence and size only.
        """
        pointer = self._pointer()
        for version in self._order(pointer):
            if self._can_serve(version):
                if pointer.version not in {None, version}:
                    self._report(version, "stands in for version %s, which cannot serve", pointer.version)
                return Current(version, pointer.pinned)
        return Current(None, pointer.pinned)

    def load(self, version: str, parts: Sequence[str] = ("snapshot",)) -> Artifact:
        """Read and verify `parts` of a version; of other parts only presence and size.

        Raises
        ------
        UnknownVersionError
            There is no such version.
        CorruptArtifactError
            Something in it is not what was written; the message names the file and the fault.
        ArtifactError
            It has no such part, or the disk fails.
        """
        try:
            manifest = self._manifest(version)
            self._require_files(manifest)
            return Artifact({part: self._read(manifest, part) for part in parts}, manifest.meta)
        except CorruptArtifactError as error:
            if self._path(version).is_dir():
                raise
            raise UnknownVersionError(f"version {version} was removed meanwhile") from error
        except OSError as error:
            raise ArtifactError(f"cannot read version {version}: {error}") from error

    def load_current(self, parts: Sequence[str] = ("snapshot",)) -> tuple[str, Artifact] | None:
        """Load the current version; what turns out to be corrupt is quarantined, and the next one loaded.

        Returns
        -------
        Name and content; None when no version can serve.
        """
        for version in self._order(self._pointer()):
            try:
                if self._manifest(version).status == "ready":
                    return version, self.load(version, parts)
            except NewerSchemaError as error:
                self._report(version, "is skipped: %s", error)
            except CorruptArtifactError as error:
                self._set_aside(version, str(error))
            except (ArtifactError, OSError):
                # a failing disk or a race with prune says nothing about the version
                logger.exception("version %s cannot be loaded", version)
        return None

    def versions(self) -> list[VersionInfo]:
        """Every version with a readable manifest, newest first. Reads no array."""
        active = self.current().version
        return [_info(manifest, active) for manifest in self._manifests()]

    def quarantine(self, version: str, reason: str) -> None:
        """Move a version out of sight, into ``quarantine/``, together with the reason.

        Raises
        ------
        UnknownVersionError
            There is no such version.
        """
        with self._lock(version):
            aside = self._folder / QUARANTINE
            aside.mkdir(exist_ok=True)
            target = aside / version
            files.move(self._path(version), target)
        with files.replacing(target / "reason.json") as file:
            file.write(msgspec.json.encode({"reason": reason, "at": datetime.now(UTC)}))

    def prune(self, keep: int) -> list[str]:
        """Remove all but the newest `keep` ready and `keep` rejected versions.

        The current one and its parent stay in any case, and what cannot be read is left alone. Returns
        what was removed.
        """
        if not self._folder.is_dir():
            return []
        with self._lock():
            removed = self._superfluous(keep)
            moved = [self._folder / files.temporary_name() for _ in removed]
            # out of sight in one step, so that nobody reads half of one; then the slow part
            for version, target in zip(removed, moved, strict=True):
                files.move(self._path(version), target)
        for target in moved:
            shutil.rmtree(target, ignore_errors=True)
        return removed

    def _superfluous(self, keep: int) -> list[str]:
        manifests = self._manifests()
        by_status = {
            status: [each.version for each in manifests if each.status == status] for status in ("ready", "rejected")
        }
        current = self.current().version
        parents = {each.parent for each in manifests if each.version == current}
        beyond = by_status["ready"][keep:] + by_status["rejected"][keep:]
        return [version for version in beyond if version not in {current, self._pointer().version, *parents}]

    def _manifests(self) -> list[Manifest]:
        found = []
        for version in self._versions():
            try:
                found.append(read_manifest(self._path(version)))
            except (CorruptArtifactError, OSError) as error:
                self._report(version, "is not listed: %s", error)
        return found

    def _manifest(self, version: str) -> Manifest:
        self._require_known(version)
        return read_manifest(self._path(version))

    def _require_known(self, version: str) -> None:
        # also keeps what a client sends from becoming a path
        if not _VERSION.fullmatch(version) or not self._path(version).is_dir():
            raise UnknownVersionError(f"there is no version {version!r}")

    def _require_files(self, manifest: Manifest) -> None:
        for entry in manifest.files:
            require_size(self._path(manifest.version) / entry.name, entry)

    def _can_serve(self, version: str) -> bool:
        try:
            manifest = self._manifest(version)
            self._require_files(manifest)
        except (ArtifactError, OSError) as error:
            self._report(version, "cannot serve: %s", error)
            return False
        return manifest.status == "ready"

    def _read(self, manifest: Manifest, part: str) -> dict[str, NDArray[Any]]:
        entry = next((each for each in manifest.files if each.name == _file_name(part)), None)
        if entry is None:
            raise ArtifactError(f"version {manifest.version} has no part {part!r}")
        arrays = read_arrays(self._path(manifest.version) / entry.name, entry, manifest.arrays[part])
        # a rejected one may have been rejected for its NaNs, and is there to be inspected
        if manifest.status == "ready" and (names := non_finite(arrays)):
            raise CorruptArtifactError(f"{manifest.version}/{entry.name}: {', '.join(names)} not finite")
        return arrays

    def _set_aside(self, version: str, reason: str) -> None:
        logger.error("version %s is corrupt and goes into quarantine: %s", version, reason)
        try:
            self.quarantine(version, reason)
        except (ArtifactError, OSError):
            # a disk that cannot be written must not keep the next version from serving
            logger.exception("version %s could not be moved", version)

    def _pointer(self) -> Current:
        try:
            return msgspec.json.decode((self._folder / CURRENT).read_bytes(), type=Current)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            self._report(CURRENT, "is ignored: %s", error)
        return Current(None, pinned=False)

    def _point_at(self, current: Current) -> None:
        with files.replacing(self._folder / CURRENT) as file:
            file.write(msgspec.json.encode(current))

    def _follow(self) -> Current:
        newest = next((version for version in self._versions() if self._can_serve(version)), None)
        current = Current(newest, pinned=False)
        self._point_at(current)
        return current

    def _order(self, pointer: Current) -> list[str]:
        """All versions, in the order in which they should serve."""
        versions = self._versions()
        named = pointer.version
        if named is None or not _VERSION.fullmatch(named):
            return versions
        older = [version for version in versions if int(version) < int(named)]
        first = [version for version in versions if version == named] + (older if pointer.pinned else [])
        return first + [version for version in versions if version not in first]

    def _versions(self) -> list[str]:
        return [str(number) for number in _numbers_in(self._folder)]

    def _path(self, version: str) -> Path:
        return self._folder / version

    def _next_version(self) -> str:
        # LAST remembers numbers whose folders are gone
        counter = self._folder / LAST
        last = counter.read_text(errors="replace") if counter.exists() else ""
        taken = [*_numbers_in(self._folder), *_numbers_in(self._folder / QUARANTINE)]
        if _VERSION.fullmatch(last):
            taken.append(last)
        version = f"{max(map(int, taken), default=0) + 1:08d}"
        with files.replacing(counter) as file:
            file.write(version.encode())
        return version

    @contextmanager
    def _draft(self) -> Iterator[Path]:
        """Folder that is removed when the block ends, if it was not moved away; its lock shows it is in use."""
        draft = self._folder / files.temporary_name()
        with ExitStack() as stack:
            with self._lock():
                draft.mkdir()
                stack.callback(shutil.rmtree, draft, ignore_errors=True)
                stack.enter_context(files.locked(draft / LOCK))
            yield draft

    def _complete(self, draft: Path, manifest: Manifest) -> None:
        write_manifest(draft, manifest)
        (draft / LOCK).unlink()
        files.sync_folder(draft)
        files.move(draft, self._path(manifest.version))

    def _sweep(self) -> None:
        """Remove what processes that died have left unfinished."""
        if not any(self._folder.glob(f"{files.TEMPORARY}*")):
            return
        try:
            with self._lock():
                for path in self._folder.glob(f"{files.TEMPORARY}*"):
                    _remove_unless_in_use(path)
        except OSError as error:
            logger.warning("cannot tidy %s: %s", self._folder, error)

    @contextmanager
    def _lock(self, version: str | None = None) -> Iterator[None]:
        if version is not None:
            self._require_known(version)
        with files.locked(self._folder / LOCK):
            yield

    def _require_space(self, artifact: Artifact) -> None:
        needed = RESERVE_BYTES + sum(array.nbytes for arrays in artifact.parts.values() for array in arrays.values())
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise OSError(errno.ENOSPC, f"{needed:,} bytes are needed and {free:,} are free")

    def _report(self, subject: str, message: str, *values: object) -> None:
        # what is asked every second is told once
        text = f"{subject} {message % values}"
        if text not in self._reported:
            self._reported.add(text)
            logger.warning("%s: %s", self._folder, text)


def _require_storable(artifact: Artifact, status: Status) -> None:
    for part, arrays in artifact.parts.items():
        if not _PART.fullmatch(part):
            raise ArtifactError(f"{part!r} is not a name for a part")
        if status == "ready" and (names := non_finite(arrays)):
            raise ArtifactError(f"{part}: {', '.join(names)} not finite")


def _file_name(part: str) -> str:
    return f"{part}.safetensors"


def _numbers_in(folder: Path) -> list[str]:
    """Versions in `folder`, newest first."""
    if not folder.is_dir():
        return []
    found = (path.name for path in folder.iterdir() if _VERSION.fullmatch(path.name))
    return sorted(found, key=int, reverse=True)


def _remove_unless_in_use(path: Path) -> None:
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    try:
        with files.locked(path / LOCK, wait=False):
            shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        pass


def _info(manifest: Manifest, active: str | None) -> VersionInfo:
    return VersionInfo(
        manifest.version,
        manifest.parent,
        manifest.created_at,
        "active" if manifest.version == active else manifest.status,
        manifest.reason,
        sum(entry.bytes for entry in manifest.files),
        manifest.meta,
    )
