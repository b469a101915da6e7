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
    UntrustedVersionError,
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
from recommender.storage.registry.listing import beyond, in_order, info_of
from recommender.storage.registry.manifest import SCHEMA, Manifest, Status, plain_meta, software
from recommender.storage.registry.object_store_backend import ObjectStoreBackend
from recommender.storage.registry.safetensors_file import non_finite, specs_of, write_arrays
from recommender.storage.registry.trust import Trust

logger = logging.getLogger("recommender.storage.registry")


class Registry:
    """Model registry: versions in a folder or object store, which alone is the authority.

    Any number of processes may use one place. A version appears at once, whole and durable, and never
    changes; its number is never given again.

    Parameters
    ----------
    location
        A folder, made by the first `publish`, or the URL of a bucket. Reading an intact one writes nothing there.
    trust
        What signs the versions that are published, and who must have signed those that are loaded.
    """

    def __init__(self, location: Path | str, trust: Trust | None = None) -> None:
        self.trust = trust or Trust()
        self.backend = _backend_at(location)
        self._reported: set[str] = set()
        self.backend.sweep()

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
            with self.backend.draft(payload_bytes(artifact)) as draft:
                is_signed = self.trust.key is not None
                entries = tuple(
                    write_arrays(draft / file_name(part), content, with_sha256=is_signed)
                    for part, content in artifact.parts.items()
                )

                def described(version: str) -> Manifest:
                    now = datetime.now(UTC)
                    told = Manifest(SCHEMA, version, parent, now, status, reason, software(), entries, arrays, meta)
                    return self.trust.signed(told)

                return self.backend.put(draft, described, after)
        except OSError as error:
            raise ArtifactError(f"cannot write a version into {self.backend.location}: {error}") from error

    def activate(self, version: str, *, pinned: bool) -> None:
        """Make a version the current one.

        Raises
        ------
        UnknownVersionError
            There is no such version.
        CorruptArtifactError
            It is not what was written.
        UntrustedVersionError
            It is not signed as it has to be.
        ArtifactError
            It was rejected; the message says why.
        """
        self.backend.require(version)
        self.backend.change(lambda: self._activate(version, pinned))

    def follow(self) -> Current:
        """Unpin, and activate the newest ready version."""
        if not self.backend.exists():
            return Current(None, pinned=False)
        return self.backend.change(self._follow)

    def advance(self) -> Current:
        """Activate the newest ready version, unless one is pinned: what to call after `publish`."""
        if not self.backend.exists():
            return Current(None, pinned=False)
        return self.backend.change(lambda: self.current() if self._pointer().pinned else self._follow())

    def current(self) -> Current:
        """Version that should serve: the activated one, or what stands in for it.

        Where none was activated, or that one is gone or damaged, the newest ready one serves; for a
        pinned one an older is preferred, because whoever pinned it left the newer ones on purpose.
        Files are checked for presence and size only.
        """
        pointer = self._pointer()
        version = next(filter(self._can_serve, in_order(self.backend.versions(), pointer)), None)
        if version is not None and pointer.version not in {None, version}:
            self._report(f"version {version} stands in for {pointer.version!r}, which cannot serve")
        return Current(version, pointer.pinned)

    def newest_when_pinned(self) -> str | None:
        """Newest version at the moment when somebody chose the current one; None when nobody did."""
        pointer = self._pointer()
        return pointer.newest if pointer.pinned else None

    def hold(self, version: str) -> None:
        """Make a version the canary: it is not activated by itself until it is promoted."""
        self.backend.change(lambda: self._point_at(replace(self._pointer(), canary=version)))

    def promote(self) -> Current:
        """End the wait of the canary: the newest version that may serve is activated, unless one is pinned.

        In one step, so that it is never seen neither tried nor active.
        """

        def promoted() -> Current:
            pointer = replace(self._pointer(), canary=None)
            if not pointer.pinned:
                return self._follow(pointer)
            self._point_at(pointer)
            return self.current()

        return self.backend.change(promoted)

    def roll_back(self, version: str, reason: str) -> None:
        """Note that a canary did not do, and why; it pins nothing."""

        def noted() -> None:
            pointer = self._pointer()
            kept = {each: why for each, why in pointer.rolled_back.items() if each in self.backend.versions()}
            self._point_at(replace(pointer, canary=None, rolled_back={**kept, version: reason}))

        self.backend.change(noted)

    def pointer(self) -> Pointer:
        """What was last pointed at, as it is stored; nothing where nobody has."""
        return self._pointer()

    def load(self, version: str, parts: Sequence[str] = ("snapshot",), *, also_untrusted: bool = False) -> Artifact:
        """Read and verify `parts` of a version; of other parts only presence and size.

        With `also_untrusted` whatever its signature is: to look into a version, not to serve it.

        Raises
        ------
        UnknownVersionError
            There is no such version.
        CorruptArtifactError
            Something in it is not what was written; the message names the file and the fault.
        UntrustedVersionError
            It is not signed as it has to be.
        ArtifactError
            It has no such part, or the disk fails.
        """
        described = self.backend.complete_manifest if also_untrusted else self._trusted
        try:
            manifest = described(version)
            try:
                return self._artifact(manifest, parts)
            except CorruptArtifactError:
                again = described(version)
                if again == manifest:
                    raise
                return self._artifact(again, parts)  # it was rewritten meanwhile
        except CorruptArtifactError:
            self.backend.require(version)  # one that was pruned meanwhile is not corrupt
            raise
        except OSError as error:
            raise ArtifactError(f"cannot read version {version}: {error}") from error

    def load_current(self, parts: Sequence[str] = ("snapshot",)) -> tuple[str, Artifact] | None:
        """Load the current version; what turns out to be corrupt is quarantined, and the next one loaded.

        Returns
        -------
        Name and content; None when no version can serve.
        """
        self.backend.look()
        for version in in_order(self.backend.versions(), self._pointer()):
            try:
                if self.backend.complete_manifest(version).status == "ready":
                    return version, self.load(version, parts)
            except StateUnavailableError:
                raise
            except (NewerSchemaError, UntrustedVersionError) as error:
                # nothing is known to be wrong with it
                self._report(f"version {version} is skipped: {error}")
            except CorruptArtifactError as error:
                self._set_aside(version, str(error))
            except (ArtifactError, OSError):
                # a failing disk, or prune in between, says nothing against the version
                logger.exception("version %s cannot be loaded", version)
        return None

    def highest(self) -> int:
        """Highest number that was ever given to a version; 0 before the first."""
        return self.backend.highest()

    def verify(self, version: str) -> None:
        """Read every part of a version. Raises as `load` does."""
        for part in self.backend.manifest(version).arrays:
            self.load(version, (part,))

    def complete_listing(self) -> list[VersionInfo]:
        """Every version as it is now, newest first: what to go by before something that versions name is removed.

        Raises
        ------
        ArtifactError
            A manifest cannot be read, so that what its version names is not known.
        """
        listed = self.versions(anew=True)
        unread = set(self.backend.versions()) - {each.version for each in listed}
        if unread:
            raise ArtifactError(f"manifests of {', '.join(sorted(unread))} in {self.backend.location} cannot be read")
        return listed

    def has_unreadable(self) -> bool:
        """Whether there are versions without a readable manifest."""
        return len(self._manifests()) < len(self.backend.versions())

    def newest_quarantined(self) -> VersionInfo | None:
        """Newest version that was set aside and whose manifest can be read."""
        for version in self.backend.quarantined():
            try:
                manifest = self.backend.quarantined_manifest(version)
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
            self.backend.look()
        active, pointer = self.current().version, self._pointer()
        return [info_of(each, active, pointer, self.trust.refusal(each)) for each in self._manifests()]

    def quarantine(self, version: str, reason: str) -> None:
        """Move a version out of sight, into ``quarantine/``, together with the reason.

        Raises
        ------
        UnknownVersionError
            There is no such version.
        """
        self.backend.require(version)
        self.backend.set_aside(version, msgspec.json.encode({"reason": reason, "at": datetime.now(UTC)}))

    def prune(self, keep: int) -> list[str]:
        """Remove all but the newest `keep` ready and `keep` rejected versions, and `keep` of those that are refused.

        The current one and its parent stay in any case, and what cannot be read is left alone. Returns
        what was removed.
        """
        return self.backend.change(lambda: self._prune(keep)) if self.backend.exists() else []

    def _prune(self, keep: int) -> list[str]:
        pointer = self._pointer()
        serving = {self.current().version, pointer.version, pointer.canary}
        removed = beyond(self._manifests(), keep, serving, self.trust.refusal)
        self.backend.remove(removed)
        return removed

    def _manifests(self) -> list[Manifest]:
        found = []
        for version in self.backend.versions():
            try:
                found.append(self.backend.manifest(version))
            except StateUnavailableError:
                raise
            except (ArtifactError, OSError) as error:
                self._report(f"version {version} is not listed: {error}")
        return found

    def _trusted(self, version: str) -> Manifest:
        """Manifest of a version whose files are all there, and that may be loaded."""
        return self.trust.require(self.backend.complete_manifest(version))

    def _can_serve(self, version: str) -> bool:
        try:
            return self._trusted(version).status == "ready"
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
        arrays = self.backend.read(manifest.version, entry, manifest.arrays[part])
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
            content = self.backend.pointer()
            if content is not None:
                return msgspec.json.decode(content, type=Pointer)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            self._report(f"{CURRENT} is ignored: {error}")
        return Pointer(None, pinned=False)

    def _activate(self, version: str, pinned: bool) -> None:
        manifest = self._trusted(version)
        if manifest.status == "rejected":
            raise ArtifactError(f"version {version} was rejected: {manifest.reason or 'no reason given'}")
        # whoever chooses a version by hand, be it the canary, has no need of one
        newest, rolled_back = self.backend.versions()[0] if pinned else None, self._pointer().rolled_back
        self._point_at(Pointer(version, pinned, newest, rolled_back=rolled_back))

    def _point_at(self, current: Pointer) -> None:
        self.backend.point(msgspec.json.encode(current))

    def _follow(self, pointer: Pointer | None = None) -> Current:
        """Point at the newest version that may serve, by what is stored or by what comes in its place."""
        stored = self._pointer()
        pointer = pointer or stored
        newest = next((each for each in self.backend.versions() if self._may_follow(each, pointer)), None)
        wanted = replace(pointer, version=newest, pinned=False, newest=None)
        if wanted != stored:
            self._point_at(wanted)
        return Current(newest, pinned=False)

    def _may_follow(self, version: str, pointer: Pointer) -> bool:
        return version not in pointer.held and self._can_serve(version)

    def _report(self, text: str) -> None:
        # what is looked at every second is told once
        if text not in self._reported:
            self._reported.add(text)
            logger.warning("%s: %s", self.backend.location, text)


def _backend_at(location: Path | str) -> RegistryBackend:
    return ObjectStoreBackend(Bucket(str(location))) if is_url(location) else FolderBackend(Path(location))
