"""Model registry: publishes, activates, loads and removes versions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from numpy.typing import NDArray

from recommender.errors import (
    ArtifactError,
    CorruptArtifactError,
    NewerSchemaError,
    StateUnavailableError,
    UnknownVersionError,
)
from recommender.storage.object_store import Bucket, is_url
from recommender.storage.registry.artifact import (
    Artifact,
    Current,
    Pointer,
    VersionInfo,
    file_name,
    part_of,
    payload_bytes,
    require_storable,
)
from recommender.storage.registry.backend import RegistryBackend
from recommender.storage.registry.folder_backend import CURRENT, FolderBackend
from recommender.storage.registry.listing import in_order, info_of, newest_of
from recommender.storage.registry.manifest import SCHEMA, Manifest, Status, plain_meta, software
from recommender.storage.registry.object_store_backend import ObjectStoreBackend
from recommender.storage.registry.safetensors_file import non_finite, specs_of, write_arrays

logger = logging.getLogger("recommender.storage.registry")


class Registry:
    """Model registry: versions in a folder or object store, which alone is the authority.

    Any number of processes may use one place. A version appears at once, whole and durable, and never
    changes; its number is never given again.

    Parameters
    ----------
    location
        A folder, made by the first `publish`, or the URL of a bucket. Reading an intact one writes nothing there.
    """

    def __init__(self, location: Path | str) -> None:
        self._backend: RegistryBackend = (
            ObjectStoreBackend(Bucket(str(location))) if is_url(location) else FolderBackend(Path(location))
        )
        self._reported: set[str] = set()
        self._backend.sweep()

    def publish(
        self,
        artifact: Artifact,
        *,
        parent: str | None,
        status: Status,
        reason: str | None = None,
        after: int | None = None,
    ) -> str:
        """Write a new version; whatever happens, a part of one is never seen. Returns its name.

        Publishing does not activate: see `advance`.

        Parameters
        ----------
        artifact, parent, status, reason
            Of the version.
        after
            Fencing token: the `highest` of when its training began. Publishing is refused to whoever was overtaken.

        Raises
        ------
        StaleTrainingError
            Somebody else was given a number since.
        ArtifactError
            The artifact cannot be stored, a ready one is not finite, or the disk is full or fails.
        """
        meta = plain_meta(artifact.meta)
        require_storable(artifact, status)
        arrays = {part: specs_of(content) for part, content in artifact.parts.items()}
        try:
            with self._backend.draft(payload_bytes(artifact)) as draft:
                entries = tuple(
                    write_arrays(draft / file_name(part), content) for part, content in artifact.parts.items()
                )

                def described(version: str) -> Manifest:
                    now = datetime.now(UTC)
                    return Manifest(SCHEMA, version, parent, now, status, reason, software(), entries, arrays, meta)

                return self._backend.put(draft, described, after)
        except OSError as error:
            raise ArtifactError(f"cannot write a version into {self._backend.location}: {error}") from error

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
        self._backend.require(version)
        self._backend.change(lambda: self._activate(version, pinned))

    def follow(self) -> Current:
        """Unpin, and activate the newest ready version."""
        if not self._backend.exists():
            return Current(None, pinned=False)
        return self._backend.change(self._follow)

    def advance(self) -> Current:
        """Activate the newest ready version, unless one is pinned: what to call after `publish`."""
        if not self._backend.exists():
            return Current(None, pinned=False)
        return self._backend.change(lambda: self.current() if self._pointer().pinned else self._follow())

    def current(self) -> Current:
        """Version that should serve: the activated one, or what stands in for it.

        Where none was activated, or that one is gone or damaged, the newest ready one serves; for a
        pinned one an older is preferred, because whoever pinned it left the newer ones on purpose.
        Files are checked for presence and size only.
        """
        pointer = self._pointer()
        version = next(filter(self._can_serve, in_order(self._backend.versions(), pointer)), None)
        if version is not None and pointer.version not in {None, version}:
            self._report(f"version {version} stands in for {pointer.version!r}, which cannot serve")
        return Current(version, pointer.pinned)

    def newest_when_pinned(self) -> str | None:
        """Newest version at the moment when somebody chose the current one; None when nobody did."""
        pointer = self._pointer()
        return pointer.newest if pointer.pinned else None

    def hold(self, version: str) -> None:
        """Make a version the canary: it is not activated by itself until it is promoted."""
        self._backend.change(lambda: self._point_at(replace(self._pointer(), canary=version)))

    def promote(self) -> Current:
        """End the wait of the canary: the newest version that may serve is activated, unless one is pinned."""
        self._backend.change(lambda: self._point_at(replace(self._pointer(), canary=None)))
        return self.advance()

    def roll_back(self, version: str, reason: str) -> None:
        """Note that a canary did not do, and why; it pins nothing."""

        def noted() -> None:
            pointer = self._pointer()
            kept = {each: why for each, why in pointer.rolled_back.items() if each in self._backend.versions()}
            self._point_at(replace(pointer, canary=None, rolled_back={**kept, version: reason}))

        self._backend.change(noted)

    @property
    def backend(self) -> RegistryBackend:
        """Where versions are kept, for `recommender.storage.registry.maintenance`."""
        return self._backend

    def pointer(self) -> Pointer:
        """What was last pointed at, as it is stored; nothing where nobody has."""
        return self._pointer()

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
            manifest = self._backend.complete_manifest(version)
            try:
                return self._artifact(manifest, parts)
            except CorruptArtifactError:
                again = self._backend.complete_manifest(version)
                if again == manifest:
                    raise
                return self._artifact(again, parts)  # it was rewritten meanwhile
        except CorruptArtifactError:
            self._backend.require(version)  # one that was pruned meanwhile is not corrupt
            raise
        except OSError as error:
            raise ArtifactError(f"cannot read version {version}: {error}") from error

    def load_current(self, parts: Sequence[str] = ("snapshot",)) -> tuple[str, Artifact] | None:
        """Load the current version; what turns out to be corrupt is quarantined, and the next one loaded.

        Returns
        -------
        Name and content; None when no version can serve.
        """
        self._backend.look()
        for version in in_order(self._backend.versions(), self._pointer()):
            try:
                if self._backend.complete_manifest(version).status == "ready":
                    return version, self.load(version, parts)
            except StateUnavailableError:
                raise
            except NewerSchemaError as error:
                self._report(f"version {version} is skipped: {error}")
            except CorruptArtifactError as error:
                self._set_aside(version, str(error))
            except (ArtifactError, OSError):
                # a failing disk, or prune in between, says nothing against the version
                logger.exception("version %s cannot be loaded", version)
        return None

    def highest(self) -> int:
        """Highest number that was ever given to a version; 0 before the first."""
        return self._backend.highest()

    def verify(self, version: str) -> None:
        """Read every part of a version. Raises as `load` does."""
        for part in self._backend.manifest(version).arrays:
            self.load(version, (part,))

    def complete_listing(self) -> list[VersionInfo]:
        """Every version as it is now, newest first: what to go by before something that versions name is removed.

        Raises
        ------
        ArtifactError
            A manifest cannot be read, so that what its version names is not known.
        """
        listed = self.versions(anew=True)
        unread = set(self._backend.versions()) - {each.version for each in listed}
        if unread:
            raise ArtifactError(f"manifests of {', '.join(sorted(unread))} in {self._backend.location} cannot be read")
        return listed

    def has_unreadable(self) -> bool:
        """Whether there are versions without a readable manifest."""
        return len(self._manifests()) < len(self._backend.versions())

    def newest_quarantined(self) -> VersionInfo | None:
        """Newest version that was set aside and whose manifest can be read."""
        for version in self._backend.quarantined():
            try:
                manifest = self._backend.quarantined_manifest(version)
            except StateUnavailableError:
                raise
            except (ArtifactError, OSError) as error:
                self._report(f"version {version} in quarantine has no manifest: {error}")
                continue
            if manifest.status == "ready":
                return info_of(manifest, None, Pointer(None, pinned=False))
        return None

    def versions(self, *, anew: bool = False) -> list[VersionInfo]:
        """Every version with a readable manifest, newest first. Reads no array.

        Parameters
        ----------
        anew
            With what others have published a moment ago; a bucket is else looked at every few seconds.
        """
        if anew:
            self._backend.look()
        active, pointer = self.current().version, self._pointer()
        return [info_of(manifest, active, pointer) for manifest in self._manifests()]

    def quarantine(self, version: str, reason: str) -> None:
        """Move a version out of sight, into ``quarantine/``, together with the reason.

        Raises
        ------
        UnknownVersionError
            There is no such version.
        """
        self._backend.require(version)
        self._backend.set_aside(version, msgspec.json.encode({"reason": reason, "at": datetime.now(UTC)}))

    def prune(self, keep: int) -> list[str]:
        """Remove all but the newest `keep` ready and `keep` rejected versions.

        The current one and its parent stay in any case, and what cannot be read is left alone. Returns
        what was removed.
        """
        return self._backend.change(lambda: self._prune(keep)) if self._backend.exists() else []

    def _prune(self, keep: int) -> list[str]:
        manifests = self._manifests()
        spared = self._spared(manifests)
        beyond = newest_of(manifests, "ready")[keep:] + newest_of(manifests, "rejected")[keep:]
        removed = [version for version in beyond if version not in spared]
        self._backend.remove(removed)
        return removed

    def _spared(self, manifests: Sequence[Manifest]) -> set[str | None]:
        serving = {self.current().version, self._pointer().version, self._pointer().canary}
        return serving | {each.parent for each in manifests if each.version in serving}

    def _manifests(self) -> list[Manifest]:
        found = []
        for version in self._backend.versions():
            try:
                found.append(self._backend.manifest(version))
            except StateUnavailableError:
                raise
            except (ArtifactError, OSError) as error:
                self._report(f"version {version} is not listed: {error}")
        return found

    def _can_serve(self, version: str) -> bool:
        try:
            return self._backend.complete_manifest(version).status == "ready"
        except StateUnavailableError:
            raise
        except (ArtifactError, OSError) as error:
            self._report(f"version {version} cannot serve: {error}")
            return False

    def _artifact(self, manifest: Manifest, parts: Sequence[str]) -> Artifact:
        return Artifact({part: self._read(manifest, part) for part in parts}, manifest.meta)

    def _read(self, manifest: Manifest, part: str) -> dict[str, NDArray[Any]]:
        entry = next((each for each in manifest.files if part_of(each.name) == part), None)
        if entry is None:
            raise ArtifactError(f"version {manifest.version} has no part {part!r}")
        arrays = self._backend.read(manifest.version, entry, manifest.arrays[part])
        # a rejected one may have been rejected for its NaNs, and is there to be inspected
        if manifest.status == "ready" and (names := non_finite(arrays)):
            raise CorruptArtifactError(f"{manifest.version}/{entry.name}: {', '.join(names)} not finite")
        return arrays

    def _set_aside(self, version: str, reason: str) -> None:
        logger.error("version %s is corrupt and goes into quarantine: %s", version, reason)
        try:
            self.quarantine(version, reason)
        except (UnknownVersionError, OSError):
            # a disk that cannot be written must not keep the next version from serving
            logger.exception("version %s could not be moved", version)

    def _pointer(self) -> Pointer:
        try:
            content = self._backend.pointer()
            if content is not None:
                return msgspec.json.decode(content, type=Pointer)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            self._report(f"{CURRENT} is ignored: {error}")
        return Pointer(None, pinned=False)

    def _activate(self, version: str, pinned: bool) -> None:
        manifest = self._backend.complete_manifest(version)
        if manifest.status == "rejected":
            raise ArtifactError(f"version {version} was rejected: {manifest.reason or 'no reason given'}")
        # whoever chooses a version by hand, be it the canary, has no need of one
        newest, rolled_back = self._backend.versions()[0] if pinned else None, self._pointer().rolled_back
        self._point_at(Pointer(version, pinned, newest, rolled_back=rolled_back))

    def _point_at(self, current: Pointer) -> None:
        self._backend.point(msgspec.json.encode(current))

    def _follow(self) -> Current:
        pointer = self._pointer()
        newest = next((each for each in self._backend.versions() if self._may_follow(each, pointer)), None)
        wanted = replace(pointer, version=newest, pinned=False, newest=None)
        if wanted != pointer:
            self._point_at(wanted)
        return Current(newest, pinned=False)

    def _may_follow(self, version: str, pointer: Pointer) -> bool:
        return version not in pointer.held and self._can_serve(version)

    def _report(self, text: str) -> None:
        # what is looked at every second is told once
        if text not in self._reported:
            self._reported.add(text)
            logger.warning("%s: %s", self._backend.location, text)
