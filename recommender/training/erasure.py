"""Erasure: everything that is kept of a user, place by place, with what was found, taken out, and is left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from recommender.errors import StoreUnavailableError
from recommender.storage.archive.archive import Archive
from recommender.storage.archive.segment import Segment
from recommender.storage.audit_trail import AuditTrail
from recommender.storage.registry import Artifact, Registry, VersionInfo
from recommender.storage.registry.maintenance import drop_quarantined, rewrite_version
from recommender.stores.log_erasure import LogErasure
from recommender.stores.protocols import Store
from recommender.training.anonymisation import SNAPSHOT, TRAIN_STATE, knows_user, without_user

logger = logging.getLogger("recommender.training.erasure")

PARTS = (SNAPSHOT, TRAIN_STATE)
TRIES, PAUSE_S = 10, 0.2


class Looked(msgspec.Struct, frozen=True):
    """What was done in one place.

    Parameters
    ----------
    place
        Its name.
    searched
        What was read there.
    erased
        Things that were taken out.
    left
        Things that were found afterwards; None where nobody looked.
    """

    place: str
    searched: str | None
    erased: int
    left: int | None


class Place(Protocol):
    """Somewhere that something is kept of users."""

    name: str

    async def erase(self, user_id: str, through: int) -> int:
        """Take out what there is of a user up to the log's offset of their deletion; returns how much it was."""
        ...

    async def look(self, user_id: str) -> tuple[str, int]:
        """What was searched, in words, and how much is there of a user."""
        ...


class VersionPlace:
    """Kept versions of the model, and the segments of the archive that they name; those in quarantine are removed."""

    name = "versions"

    def __init__(self, registry: Registry, archive: Archive) -> None:
        self._registry = registry
        self._archive = archive

    async def erase(self, user_id: str, through: int) -> int:
        """See `Place`."""
        return await asyncio.to_thread(self._erase, user_id, through)

    async def look(self, user_id: str) -> tuple[str, int]:
        """See `Place`."""
        return await asyncio.to_thread(self._look, user_id)

    def _erase(self, user_id: str, through: int) -> int:
        versions = self._registry.complete_listing()
        rewritten: dict[str, list[Segment]] = {}
        changed = 0
        for version in versions:
            segments = self._segments_without(version, {user_id: through}, rewritten)
            changed += self._rewrite(version, segments, user_id)
        old = [name for name, new in rewritten.items() if [each.name for each in new] != [name]]
        named = {segment.name for version in self._registry.complete_listing() for segment in version.meta.segments}
        self._archive.settle(named)
        # what is not in the archive's listing any more is not in it either
        self._archive.remove([name for name in old if name not in named])
        if any(version.status != "rejected" for version in versions):
            changed += len(drop_quarantined(self._registry))
        return changed

    def _segments_without(
        self, version: VersionInfo, users: dict[str, int], rewritten: dict[str, list[Segment]]
    ) -> list[Segment]:
        """Segments of a version without a user; each is rewritten once, however many versions name it."""
        for segment in version.meta.segments:
            if segment.name not in rewritten:
                rewritten[segment.name] = self._archive.erase([segment], users)
        return [new for segment in version.meta.segments for new in rewritten[segment.name]]

    def _rewrite(self, version: VersionInfo, segments: Sequence[Segment], user_id: str) -> int:
        artifact = self._loaded(version.version)
        known = knows_user(artifact, user_id)
        if not known and tuple(segments) == version.meta.segments:
            return 0
        artifact = without_user(artifact, user_id) if known else artifact
        meta = msgspec.structs.replace(artifact.meta, segments=tuple(segments))
        rewrite_version(self._registry, version.version, Artifact(artifact.parts, meta))
        logger.info("version %s was rewritten without a user who is forgotten", version.version)
        return 1

    def _loaded(self, version: str) -> Artifact:
        """A version with those parts that have ids; one that was rejected for its numbers has no snapshot."""
        there = self._registry.backend.manifest(version).arrays
        # whatever its signature: nothing of it is served, and a user is taken out of all that is kept
        return self._registry.load(version, [part for part in PARTS if part in there], also_untrusted=True)

    def _look(self, user_id: str) -> tuple[str, int]:
        versions = self._registry.complete_listing()
        found = sum(knows_user(self._loaded(version.version), user_id) for version in versions)
        segments = {segment.name: segment for version in versions for segment in version.meta.segments}
        rows = sum(len(self._archive.read_user([segment], user_id)) for segment in segments.values())
        quarantined = self._registry.newest_quarantined()
        words = f"{len(versions)} versions and {len(segments)} segments of the archive"
        return words, found + rows + (quarantined is not None)


class StorePlace:
    """Record, recent items, log and note of the deletion in the store."""

    name = "store"

    def __init__(self, erasure: LogErasure) -> None:
        self._erasure = erasure

    async def erase(self, user_id: str, through: int) -> int:
        """See `Place`."""
        return await self._erasure.erase(user_id, through)

    async def look(self, user_id: str) -> tuple[str, int]:
        """See `Place`."""
        counts = await self._erasure.count(user_id)
        return f"{', '.join(counts)} entries", sum(counts.values())


class AuditPlace:
    """The audit, in which a digest takes the place of the id."""

    name = "audit"

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail

    async def erase(self, user_id: str, through: int) -> int:  # noqa: ARG002 (all of it)
        """See `Place`."""
        return await self._trail.forget(user_id)

    async def look(self, user_id: str) -> tuple[str, int]:
        """See `Place`."""
        return "every entry", await self._trail.count(user_id)


class Deleted(NamedTuple):
    """A user who was deleted: the log's offset, or a later one."""

    user_id: str
    through: int


async def delete(store: Store, user_id: str) -> Deleted:
    """Delete a user from the store and tell the log; what they do from now on is of somebody new.

    Raises
    ------
    StoreError
        The store does not answer.
    """
    await store.delete_user(user_id)
    for _ in range(TRIES):
        try:
            (state,) = (await store.fetch([user_id])).users
        except StoreUnavailableError:  # it has little time for this, as on the way of a request
            await asyncio.sleep(PAUSE_S)
        else:
            return Deleted(user_id, state.deleted_at)
    (state,) = (await store.fetch([user_id])).users
    return Deleted(user_id, state.deleted_at)


async def erase(deleted: Deleted, places: Sequence[Place], *, verify: bool = True) -> list[Looked]:
    """Take a user out of places, one after another, then look through all of them.

    What fails in one place ends it: it is all done again when it is asked for again, and nothing is harmed by that.

    Parameters
    ----------
    deleted
        From `delete`.
    places
        In the order in which they may lose what there is of the user.
    verify
        Whether to look afterwards, which reads everything.

    Raises
    ------
    RecommenderError
        A place does not answer, or is damaged.
    """
    erased = [await place.erase(*deleted) for place in places]
    if not verify:
        return [Looked(place.name, None, n, None) for place, n in zip(places, erased, strict=True)]
    found = [await place.look(deleted.user_id) for place in places]
    return [Looked(place.name, words, n, left) for place, n, (words, left) in zip(places, erased, found, strict=True)]
