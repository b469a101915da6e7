"""Base version: which version the next training goes on from, and what becomes of a damaged one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from recommender.errors import CorruptArtifactError, NewerSchemaError, TrainingError, UntrustedVersionError
from recommender.models.checkpoint import model_from_arrays
from recommender.serving.snapshot import Snapshot
from recommender.storage.archive.segment import Segment
from recommender.storage.registry import Registry, VersionInfo
from recommender.storage.registry.version_meta import Mode
from recommender.training.full import Trained
from recommender.training.history_choices import choices_of
from recommender.training.promotion_gate import Verdict

logger = logging.getLogger("recommender.training.pipeline")


@dataclass(frozen=True)
class Begun:
    """Where a training begins.

    Parameters
    ----------
    mode
        How it goes on.
    base
        Version that it goes on from; None for the first.
    serving
        What was loaded of the base: its snapshot for a full training, model and snapshot for an increment.
    pinned
        Version that somebody has pinned.
    after
        Fencing token: highest number of a version when it began.
    at
        When, by the monotonic clock.
    """

    mode: Mode
    base: VersionInfo | None = None
    serving: Snapshot | Trained | None = None
    pinned: str | None = None
    after: int | None = None
    at: float = field(default_factory=time.monotonic)

    @property
    def snapshot(self) -> Snapshot | None:
        """Snapshot of the base."""
        return self.serving.snapshot if isinstance(self.serving, Trained) else self.serving

    def parent(self) -> tuple[VersionInfo, Trained]:
        """Base of an increment, with its model."""
        if self.base is None or not isinstance(self.serving, Trained):
            raise TrainingError("an increment goes on from a version; train a full one first")
        return self.base, self.serving

    def learned_users(self) -> list[str]:
        """Users that the base has learned of."""
        return list(self.snapshot.user_ids) if self.snapshot else []


class BaseVersions:
    """Chooses the version that a training goes on from, and keeps the model of the last one at hand.

    Parameters
    ----------
    registry
        Of the versions.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._at_hand: tuple[str, Trained] | None = None

    @property
    def at_hand(self) -> tuple[str, Trained] | None:
        """Version whose model and snapshot are in memory, with them."""
        return self._at_hand

    def keep(self, version: str, trained: Trained) -> None:
        """Keep model and snapshot of a version at hand."""
        self._at_hand = version, trained

    def drop(self) -> None:
        """Have no model at hand: the next is read from disk."""
        self._at_hand = None

    def newest(self) -> VersionInfo | None:
        """Newest version that may serve."""
        return next((version for version in self._registry.versions() if version.may_serve), None)

    def has_had_versions(self) -> bool:
        """Whether there was ever a version, readable or not."""
        registry = self._registry
        usable = self.base() is not None or registry.newest_quarantined() is not None
        return usable or registry.has_unreadable() or bool(self._refused())

    def base(self) -> VersionInfo | None:
        """Version that the next one builds on: the newest that may serve.

        Where an older one was pinned, what came of the others since is passed over: they were rolled back.
        """
        return self._base_and_pin()[0]

    def _base_and_pin(self) -> tuple[VersionInfo | None, str | None]:
        """Base, and the pinned version that it is or builds on."""
        ready = {version.version: version for version in self._registry.versions() if version.may_serve}
        current = self._registry.current()
        if not current.pinned or current.version not in ready:
            return next(iter(ready.values()), None), None
        rolled_back = self._registry.newest_when_pinned() or current.version
        since = (each for each in ready.values() if int(each.version) > int(rolled_back))
        base = next((each for each in since if _builds_on(each, current.version, ready)), ready[current.version])
        return base, current.version

    async def find(self) -> VersionInfo | None:
        """Find the base without holding up who else is answered meanwhile, by disk or network."""
        return await asyncio.to_thread(self.base)

    async def begin(self, mode: Mode) -> Begun:
        """Version to go on from: the base, or where it is damaged the newest before it.

        Raises
        ------
        CorruptArtifactError
            There were versions, and none can be read.
        UntrustedVersionError
            There are versions, and none is signed as it has to be.
        """
        while True:
            base, pinned = await asyncio.to_thread(self._base_and_pin)
            if base is None:
                break
            try:
                serving = await (self._snapshot_of(base) if mode == "full" else self._loaded(base))
                return Begun(mode, base, serving, pinned)
            except NewerSchemaError:
                raise
            except CorruptArtifactError as error:
                if not await asyncio.to_thread(self._set_aside, base.version, str(error)):
                    # the only one: what it serves is left alone, and all it learned is in the archive
                    return Begun("full", base, None, pinned)
        return Begun("full", await asyncio.to_thread(self._lost), None)

    def _set_aside(self, version: str, reason: str) -> bool:
        """Quarantine a damaged version, unless it is the last that may serve."""
        ready = [each.version for each in self._registry.versions() if each.may_serve]
        if ready == [version]:
            return False
        logger.error("version %s is corrupt and goes into quarantine: %s", version, reason)
        self._registry.quarantine(version, reason)
        return True

    def _lost(self) -> VersionInfo | None:
        """Version in quarantine of which only what it learned can be used; None where nothing was learned yet."""
        if refused := self._refused():
            raise UntrustedVersionError(
                f"no version can be gone on from, and {refused[0].version} is refused: {refused[0].refused}; to learn"
                " from the beginning would forget what it learned: look where it is from, and sign it with"
                " recommender signing sign"
            )
        if not self._registry.has_unreadable():
            return None if self._registry.versions() else self._registry.newest_quarantined()
        raise CorruptArtifactError(
            "there are versions of the model, and none can be read; to learn from the beginning would forget what they"
            " learned: restore `models` of state_dir from a backup, or go back to the release that wrote them"
        )

    def _refused(self) -> list[VersionInfo]:
        """Versions that are not signed as they have to be, newest first."""
        return [version for version in self._registry.versions() if version.refused]

    async def _snapshot_of(self, base: VersionInfo) -> Snapshot | None:
        """Snapshot of the base, which is all that a full training needs of it."""
        if self._at_hand is not None and self._at_hand[0] == base.version:
            return self._at_hand[1].snapshot
        artifact = await asyncio.to_thread(self._registry.load, base.version)
        return Snapshot.from_arrays(artifact.parts["snapshot"], artifact.meta.snapshot)

    async def _loaded(self, base: VersionInfo) -> Trained:
        """Model and snapshot of the base: those at hand, or from disk."""
        if self._at_hand is None or self._at_hand[0] != base.version:
            artifact = await asyncio.to_thread(self._registry.load, base.version, ("snapshot", "train_state"))
            snapshot = Snapshot.from_arrays(artifact.parts["snapshot"], artifact.meta.snapshot)
            model = model_from_arrays(artifact.parts["train_state"], artifact.meta.model)
            verdict = Verdict(accepted=True, reason=None, users=0)
            self._at_hand = base.version, Trained(model, snapshot, verdict, choices=choices_of(artifact.meta))
        return self._at_hand[1]


def _builds_on(version: VersionInfo, ancestor: str, versions: Mapping[str, VersionInfo]) -> bool:
    if version.meta.pinned == ancestor:
        return True
    current: VersionInfo | None = version  # an earlier release did not write what was pinned
    while current is not None and current.version != ancestor:
        current = versions.get(current.parent or "")
    return current is not None


def last_full_at(versions: Sequence[VersionInfo]) -> float:
    """When the last full training ended, whatever came of it; by versions, newest first, of which there is one."""
    for version in versions:
        if version.meta.full_at is not None:
            return version.meta.full_at
        if version.meta.mode == "full":
            return version.created_at.timestamp()
    # a release that did not write it has removed the full one since
    return versions[-1].created_at.timestamp()


def segments_of(version: VersionInfo | None) -> list[Segment]:
    """Segments of the archive that a version has learned; none before the first."""
    return list(version.meta.segments) if version else []
