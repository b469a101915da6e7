"""ModelStore: the actor that owns the serving snapshot in the object store and tells predictors of new versions."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from typing import Any, NamedTuple

import msgspec
import ray

from deployments.ray_runtime.code_hash import release
from deployments.telemetry import logs
from recommender.errors import StateUnavailableError
from recommender.storage.registry import Artifact, Registry, VersionInfo
from recommender.storage.registry.trust import Trust

NAMESPACE = "recommender"
LONG_POLL_S = 30.0
MOST_BESIDE = 3
"""Versions beside the current one that stay in the object store; each takes as much of it as that one."""
UNASKED_S = 300.0
"""After which nobody is left to ask: trainer and predictors do so all the time."""

logger = logging.getLogger("recommender.model_store")


class RegistryPlace(NamedTuple):
    """Where versions are, and who must have signed them.

    Parameters
    ----------
    location
        Folder of the registry, or its URL.
    trusted
        PEM texts of the public keys that `require_signed` names; none: any version is loaded.
    """

    location: str
    trusted: tuple[str, ...] = ()

    def open(self, signing_key: str = "") -> Registry:
        """The registry; `signing_key` is the PEM of what signs versions that are published there."""
        return Registry(self.location, Trust.of(signing_key, self.trusted))


class Published(NamedTuple):
    """A published snapshot: version and boxed object reference, so that it arrives as a reference."""

    version: str
    boxed: list[Any]
    serial: int = 0
    """Counts what was published: a version that was rewritten is published again."""


class Follower(NamedTuple):
    """Who waits for versions, and what it had when it asked last."""

    serial: int
    asked_at: float


class ModelStoreActor:
    """Loads, verifies and hands out snapshots. One a registry and release; ends when those that asked it have ended.

    The registry is the authority: after a crash this starts again from there. Replicas keep what they have meanwhile.
    """

    def __init__(self, place: RegistryPlace) -> None:
        logs.configure()
        self._registry = place.open()
        self._published: Published | None = None
        self._info: VersionInfo | None = None
        self._serial = 0
        self._followers: dict[str, Follower] = {}
        self._changed = asyncio.Condition()
        self._lock = asyncio.Lock()
        self._beside: dict[str, Published] = {}
        self._beside_lock = asyncio.Lock()
        self._asked_at = time.monotonic()
        self._retiring = asyncio.get_event_loop().create_task(self._retire())

    async def refresh(self) -> str | None:
        """Serve what the registry says is current; returns its version."""
        self._asked_at = time.monotonic()
        async with self._lock:
            current = await asyncio.to_thread(self._registry.advance)
            if self._published is None or current.version != self._published.version:
                await self._load()
        return self._published and self._published.version

    async def reload(self) -> None:
        """Publish the version that serves once more, as it is on disk now: it was rewritten."""
        async with self._lock:
            self._beside.clear()
            await self._load()

    async def outdated(self) -> int:
        """How many of those who follow, and have asked not long ago, have something older than what serves."""
        since = time.monotonic() - 2 * LONG_POLL_S
        self._followers = {who: each for who, each in self._followers.items() if each.asked_at > since}
        return sum(each.serial < self._serial for each in self._followers.values())

    async def activate(self, version: str) -> str | None:
        """Serve this version from now on, whatever is trained later; ``latest`` lifts that."""
        if version == "latest":
            await asyncio.to_thread(self._registry.follow)
        else:
            await asyncio.to_thread(self._registry.activate, version, pinned=True)
        return await self.refresh()

    async def current(self) -> Published | None:
        """What serves now."""
        self._asked_at = time.monotonic()
        if self._published is None:
            try:
                await self.refresh()
            except StateUnavailableError as error:
                # who asks gets on without a model; the next who asks has it looked for again
                logger.warning("no model to serve yet: %s", error)
        return self._published

    async def named(self, version: str) -> Published:
        """A version beside the current one, for users of an experiment; the last few stay in the object store.

        Raises
        ------
        UnknownVersionError
            There is no such version.
        CorruptArtifactError
            It is not what was written.
        UntrustedVersionError
            It is not signed as it has to be.
        """
        if self._published is not None and self._published.version == version:
            return self._published
        async with self._beside_lock:
            if version not in self._beside:
                artifact = await asyncio.to_thread(self._registry.load, version)
                self._beside[version] = _published(version, artifact)
                while len(self._beside) > MOST_BESIDE:
                    del self._beside[next(iter(self._beside))]
                logger.info("model %s goes out beside the current one", version)
            return self._beside[version]

    async def versions(self) -> list[dict[str, Any]]:
        """Versions on disk, newest first, as the contract shows them."""
        return [_shown(info) for info in await asyncio.to_thread(self._registry.versions)]

    async def active(self) -> dict[str, Any] | None:
        """What serves, as the contract shows it, and what a status needs."""
        published = await self.current()
        if published is None:
            return None
        current = await asyncio.to_thread(self._registry.current)
        listed = await asyncio.to_thread(self._registry.versions)
        # one that was set aside or removed since it was loaded serves on
        info = next((info for info in listed if info.version == published.version), self._info)
        if info is None:
            return None
        return {
            **_shown(info),
            "pinned": current.pinned,
            "log_offset": info.meta.log_offset,
            "newest_timestamp": info.meta.newest_timestamp,
        }

    async def learned(self) -> tuple[int, int]:
        """Newest offset of the log and newest change of the catalogue that any version has learned."""
        versions = await asyncio.to_thread(self._registry.versions)
        offset = max((version.meta.log_offset for version in versions), default=0)
        return offset, max((version.meta.items_sequence for version in versions), default=0)

    async def wait_for(self, have: str | None, serial: int | None = None, who: str = "") -> Published | None:
        """What serves, as soon as it is not `have`; None when that takes too long, then ask again.

        Parameters
        ----------
        have
            Version.
        serial
            `Published.serial` of it; None for one who does not mind what a version was rewritten to.
        who
            Name of the one who asks, where the serial is given.
        """
        self._asked_at = time.monotonic()
        if serial is not None:
            self._followers[who] = Follower(serial, self._asked_at)
        async with self._changed:
            try:
                await asyncio.wait_for(
                    self._changed.wait_for(lambda: _is_other(self._published, have, serial)),
                    LONG_POLL_S,
                )
            except TimeoutError:
                return None
        return self._published

    async def _retire(self) -> None:
        while time.monotonic() - self._asked_at < UNASKED_S:  # noqa: ASYNC110 (that time passes is no event)
            await asyncio.sleep(LONG_POLL_S)
        logger.info("nobody asks any more: another release, or another state_dir, serves")
        ray.kill(ray.get_runtime_context().current_actor, no_restart=True)

    async def _load(self) -> None:
        loaded = await asyncio.to_thread(self._registry.load_current)
        if loaded is None:
            return
        version, artifact = loaded
        listed = await asyncio.to_thread(self._registry.versions)
        self._info = next((info for info in listed if info.version == version), None)
        async with self._changed:
            self._serial += 1
            self._published = _published(version, artifact)._replace(serial=self._serial)
            self._changed.notify_all()
        logger.info("model %s goes out to the predictors", version)


def _published(version: str, artifact: Artifact) -> Published:
    meta = {**artifact.meta.snapshot, "version": version}
    # put by the actor, so that it owns it: it outlives the trainer
    return Published(version, [ray.put((dict(artifact.parts["snapshot"]), meta))])


def _is_other(published: Published | None, have: str | None, serial: int | None) -> bool:
    return published is not None and (published.version != have or serial not in (None, published.serial))


def _shown(info: VersionInfo) -> dict[str, Any]:
    return {
        "version": info.version,
        "created_at": info.created_at.isoformat(),
        "trained_on": info.meta.trained_on,
        "metrics": info.meta.metrics,
        "judged_on": info.meta.judged_on,
        "status": info.status,
        "reason": info.reason,
        "refused": info.refused,
        "data": None if info.meta.data is None else msgspec.to_builtins(info.meta.data),
    }


def model_store(place: RegistryPlace) -> Any:
    """Handle of the ModelStore of a registry, started if need be.

    It runs the code of whoever starts it for as long as it lives, so each release has its own, and replicas of two
    releases can serve side by side while one takes the place of the other. So has each set of accepted keys.
    """
    own = hashlib.sha256("\n".join([place.location, *place.trusted]).encode()).hexdigest()[:12]
    options = {
        "name": f"model-store-{own}-{release()}",
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "get_if_exists": True,
        "max_restarts": -1,
        "max_task_retries": -1,
        "num_cpus": 0,
        "max_concurrency": 1000,
    }
    return ray.remote(ModelStoreActor).options(**options).remote(place)
