"""Object-store backend of the registry: a version becomes visible by its manifest, which is written last.

No object is ever changed, and what must be one of its kind is created where there is none, which an object store
decides. Below the URL stand::

    00000007/snapshot.safetensors, …   the parts, uploaded first
    00000007/manifest.json             makes the version visible
    claims/00000007                    made before its parts; a number is never given again
    current/00000000042.json           the pointer; the highest number counts
    quarantine/00000007.json           the reason; hides the version

References
----------
.. [1] Amazon S3 user guide, "Conditional writes": ``If-None-Match: *``.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from numpy.typing import NDArray

from recommender.errors import ArtifactError, CorruptArtifactError, StateUnavailableError, UnknownVersionError
from recommender.storage import atomic_files
from recommender.storage.object_store import Bucket
from recommender.storage.registry.backend import is_version, newest_first, require_next, require_room
from recommender.storage.registry.manifest import NAME, Manifest, encoded_manifest, parsed_manifest, read_manifest
from recommender.storage.registry.safetensors_file import ArraySpec, FileEntry, read_arrays, sha256_of

logger = logging.getLogger("recommender.storage.registry")

CLAIMS, CURRENT, QUARANTINE = "claims", "current", "quarantine"
LISTING_S = 5.0
"""How old a listing may be for those who only look; a listing costs a request."""
MANIFEST_S = 60.0
"""How old a manifest may be: one that was signed anew has the same length."""
POINTERS_KEPT = 20
"""A writer that is so many changes behind would not notice."""
TRIES = 20
ABANDONED_S = 24 * 3600.0
"""A version that has no manifest after so long never will."""

T = TypeVar("T")


class _Read(NamedTuple):
    """A manifest, how long it is in the listing, and when it was read."""

    manifest: Manifest
    size: int | None
    at: float


class ObjectStoreBackend:
    """Storage backend in an object store, with a cache on this machine.

    Parameters
    ----------
    bucket
        Where.
    """

    def __init__(self, bucket: Bucket) -> None:
        self.location = bucket.url
        self._bucket = bucket
        self._cache = bucket.cache()
        self._sizes: dict[str, int] = {}
        self._looked_at = -LISTING_S
        self._manifests: dict[str, _Read] = {}
        self._pointers: dict[str, bytes] = {}
        self._one_at_a_time = threading.RLock()

    def exists(self) -> bool:
        """Whether anything was ever put here."""
        return bool(self._listing())

    def look(self) -> None:
        """See what there is now."""
        sizes, looked_at = self._bucket.sizes(), time.monotonic()
        self._sizes, self._looked_at = sizes, looked_at

    def versions(self) -> list[str]:
        """Names, newest first."""
        return _visible(self._listing())

    def require(self, version: str) -> None:
        """Check that there is such a version.

        Raises
        ------
        UnknownVersionError
            There is none.
        """
        if is_version(version) and version not in self.versions():
            self.look()
        if version not in self.versions():
            raise UnknownVersionError(f"there is no version {version!r}")

    def complete_manifest(self, version: str) -> Manifest:
        """Manifest of a version whose files are all there, as long as they were written."""
        manifest = self.manifest(version)
        self._require_sizes(manifest)
        return manifest

    def manifest(self, version: str) -> Manifest:
        """Manifest of a version, verified; it is read now and then, and when its length or missing files tell."""
        self.require(version)
        known = self._manifests.get(version)
        if known is None or not self._is_current(known):
            size, now = self._sizes.get(f"{version}/{NAME}"), time.monotonic()
            read = parsed_manifest(lambda: self._bucket.read(f"{version}/{NAME}"), version)
            known = self._manifests[version] = _Read(read, size, now)
        return known.manifest

    def read(self, version: str, entry: FileEntry, specs: Mapping[str, ArraySpec]) -> dict[str, NDArray[Any]]:
        """Arrays of a file, verified. A copy in the cache that is damaged is fetched again."""
        return self._verified(version, entry, lambda path: read_arrays(path, entry, specs))

    def sha256(self, version: str, entry: FileEntry) -> str:
        """SHA-256 of a file, verified."""
        return self._verified(version, entry, lambda path: sha256_of(path, entry))

    def _verified(self, version: str, entry: FileEntry, read: Callable[[Path], T]) -> T:
        path = self._cache / version / entry.name
        if path.exists():
            try:
                return read(path)
            except CorruptArtifactError as error:
                logger.warning("%s is fetched again: %s", path, error)
        try:
            self._bucket.download(f"{version}/{entry.name}", path)
        except FileNotFoundError as error:
            self.look()
            raise CorruptArtifactError(f"{version}/{entry.name} is missing") from error
        return read(path)

    def pointer(self) -> bytes | None:
        """What was last pointed at."""
        names = _pointers(self._listing())
        if not names:
            return None
        content = self._pointers.get(names[-1])
        if content is None:
            content = self._bucket.read(f"{CURRENT}/{names[-1]}")
            self._pointers = {names[-1]: content}
        return content

    def point(self, content: bytes) -> None:
        """Point at something else, in one step. Within `change`."""
        names = _pointers(self._sizes)
        number = int(names[-1].removesuffix(".json")) + 1 if names else 1
        name = f"{number:011d}.json"
        if not self._bucket.create(f"{CURRENT}/{name}", content):
            raise _OvertakenError(name)
        self._sizes[f"{CURRENT}/{name}"] = len(content)
        self._bucket.remove([f"{CURRENT}/{each}" for each in names[:-POINTERS_KEPT]])

    def change(self, work: Callable[[], T]) -> T:
        """Do what changes something, again from the beginning when somebody else was faster.

        Raises
        ------
        StateUnavailableError
            Somebody always is.
        """
        with self._one_at_a_time:
            for _ in range(TRIES):
                self.look()
                with suppress(_OvertakenError):
                    return work()
        raise StateUnavailableError(f"{self.location} is changed by others all the time")

    @contextmanager
    def draft(self, needed_bytes: int) -> Iterator[Path]:
        """Folder for a version's files, gone when the block ends, unless it was put.

        Raises
        ------
        OSError
            So much does not fit into the cache.
        """
        require_room(self._cache, needed_bytes)
        folder = self._cache / atomic_files.temporary_name()
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def highest(self) -> int:
        """Highest number that was ever given."""
        self.look()
        return self._highest()

    def put(self, draft: Path, described: Callable[[str], Manifest], after: int | None) -> str:
        """Upload a draft; it appears with its manifest."""
        version = self._claim(after)
        for path in sorted(draft.iterdir()):
            self._bucket.upload(path, f"{version}/{path.name}")
        if not self._bucket.create(f"{version}/{NAME}", encoded_manifest(described(version))):
            raise StateUnavailableError(f"{self.location}/{version} was written by somebody else")
        # what was just written need not be fetched
        with suppress(OSError):
            draft.rename(self._cache / version)
        self.look()
        return version

    def rewrite(self, draft: Path, manifest: Manifest) -> None:
        """Let other objects take the place of those of a version: its manifest is the one object that changes."""
        version = manifest.version
        for path in sorted(draft.glob("*.safetensors")):
            self._bucket.upload(path, f"{version}/{path.name}")
        path = draft / NAME
        path.write_bytes(encoded_manifest(manifest))
        self._bucket.upload(path, f"{version}/{NAME}")
        self._manifests.pop(version, None)
        self.look()
        named = {NAME, *(entry.name for entry in manifest.files)}
        there = [name for folder, name in map(_parted, self._sizes) if folder == version]
        self._bucket.remove([f"{version}/{name}" for name in there if name not in named])
        shutil.rmtree(self._cache / version, ignore_errors=True)
        self.look()

    def adopt(self, version: str, files: Path) -> None:
        """Let a version of another registry appear under its own name."""
        manifest = read_manifest(files)
        for entry in manifest.files:
            self._bucket.upload(files / entry.name, f"{version}/{entry.name}")
        if not self._bucket.create(f"{version}/{NAME}", (files / NAME).read_bytes()):
            raise ArtifactError(f"there is a version {version} in {self.location} already")
        self.look()

    def reserve(self, highest: int) -> None:
        """Give out no number up to this one."""
        if highest > self.highest():
            self._bucket.create(f"{CLAIMS}/{highest:08d}", secrets.token_bytes(16))
            self.look()

    def quarantined(self) -> list[str]:
        """Versions that were set aside."""
        names = (name for folder, name in map(_parted, self._listing()) if folder == QUARANTINE)
        return newest_first([name.removesuffix(".json") for name in names])

    def quarantined_manifest(self, version: str) -> Manifest:
        """Manifest of a version that was set aside."""
        return parsed_manifest(lambda: self._bucket.read(f"{version}/{NAME}"), version)

    def drop_quarantined(self) -> list[str]:
        """Remove all versions that were set aside; the claims of their numbers stay."""
        names = set(self.quarantined())
        doomed = [name for name in self._sizes if _parted(name)[0] in names]
        self._bucket.remove([*doomed, *(f"{QUARANTINE}/{name}.json" for name in names)])
        for name in names:
            shutil.rmtree(self._cache / name, ignore_errors=True)
        self.look()
        return newest_first(names)

    def set_aside(self, version: str, reason: bytes) -> None:
        """Hide a version; its objects stay."""
        self._bucket.create(f"{QUARANTINE}/{version}.json", reason)
        self.look()

    def remove(self, versions: Collection[str]) -> None:
        """Remove versions, manifests first, and what never got one. Within `change`."""
        self._bucket.remove([f"{version}/{NAME}" for version in versions])
        abandoned = self._abandoned()
        # the highest claim stays, so that its number is not given again; others stand for versions on their way
        spent = [each for each in self._claims()[1:] if f"{each}/{NAME}" in self._sizes or each in abandoned]
        doomed = {*versions, *abandoned}
        self._bucket.remove([name for name in self._sizes if _parted(name)[0] in doomed and _parted(name)[1] != NAME])
        self._bucket.remove([f"{CLAIMS}/{each}" for each in spent])
        self.look()
        self._tidy_cache()

    def sweep(self) -> None:
        """Nothing to do: what has no manifest is not seen, and goes with the next `remove`."""

    def _is_current(self, read: _Read) -> bool:
        version = read.manifest.version
        files = (f"{version}/{entry.name}" for entry in read.manifest.files)
        is_young = time.monotonic() - read.at < MANIFEST_S
        return (
            is_young and read.size == self._sizes.get(f"{version}/{NAME}") and all(map(self._sizes.__contains__, files))
        )

    def _listing(self) -> Mapping[str, int]:
        if time.monotonic() - self._looked_at >= LISTING_S:
            self.look()
        return self._sizes

    def _claim(self, after: int | None) -> str:
        """Take a number that no version ever had; whoever claims first fences off the others."""
        for _ in range(TRIES):
            self.look()
            claimed = self._highest() + 1
            require_next(claimed, after, self.location)
            if self._bucket.create(f"{CLAIMS}/{claimed:08d}", secrets.token_bytes(16)):
                # what is not the highest may have been given, and removed, since it was looked for
                self.look()
                if self._highest() == claimed:
                    return f"{claimed:08d}"
                self._bucket.remove([f"{CLAIMS}/{claimed:08d}"])
        raise StateUnavailableError(f"{self.location} is published into by others all the time")

    def _highest(self) -> int:
        standing = newest_first([folder for folder, _ in map(_parted, self._sizes)])
        return max(map(int, standing + self._claims()), default=0)

    def _claims(self) -> list[str]:
        return newest_first([name for folder, name in map(_parted, self._sizes) if folder == CLAIMS])

    def _require_sizes(self, manifest: Manifest) -> None:
        for entry in manifest.files:
            self._require_size(f"{manifest.version}/{entry.name}", entry)

    def _require_size(self, name: str, entry: FileEntry) -> None:
        size = self._sizes.get(name)
        if size is None:
            raise CorruptArtifactError(f"{name} is missing")
        if size != entry.bytes:
            raise CorruptArtifactError(f"{name} is of {size} bytes, not of {entry.bytes}")

    def _abandoned(self) -> list[str]:
        """Versions that were claimed long ago and have no manifest."""
        unfinished = (each for each in self._claims() if f"{each}/{NAME}" not in self._sizes)
        return [each for each in unfinished if not self._is_young(each)]

    def _is_young(self, version: str) -> bool:
        try:
            return time.time() - self._bucket.written_at(f"{CLAIMS}/{version}") < ABANDONED_S
        except FileNotFoundError:
            return False

    def _tidy_cache(self) -> None:
        """Drop copies of what is gone, and what processes that died were about to fetch."""
        kept, highest = set(self.versions()), self._highest()
        for path in self._cache.iterdir():
            # what is above the highest was published since
            is_gone = is_version(path.name) and path.name not in kept and int(path.name) <= highest
            is_left = path.name.startswith(atomic_files.TEMPORARY) and time.time() - path.stat().st_mtime > ABANDONED_S
            if path.is_dir() and (is_gone or is_left):
                shutil.rmtree(path, ignore_errors=True)


class _OvertakenError(Exception):
    """Somebody else has pointed at something meanwhile."""


def _parted(name: str) -> tuple[str, str]:
    folder, _, rest = name.partition("/")
    return folder, rest


def _visible(sizes: Mapping[str, int]) -> list[str]:
    finished = [folder for folder, name in map(_parted, sizes) if name == NAME]
    return [version for version in newest_first(finished) if f"{QUARANTINE}/{version}.json" not in sizes]


def _pointers(sizes: Mapping[str, int]) -> list[str]:
    """Oldest first."""
    names = (name for folder, name in map(_parted, sizes) if folder == CURRENT)
    return sorted((name for name in names if name.removesuffix(".json").isdecimal()), key=lambda it: int(it[:-5]))
