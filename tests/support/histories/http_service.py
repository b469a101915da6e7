"""The real service as clients and faults see it: over HTTP, and by its processes' ids."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from urllib.parse import quote

import httpx
import redis

from recommender.errors import ArtifactError
from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Registry, VersionInfo, VersionMeta
from recommender.stores import EmbeddedValkey
from recommender.stores.raw_commands import answers
from tests.support.histories.clients import FIRST_S, Answer, Page, Refused, Unanswered, group_of
from tests.support.histories.recorded import Disturbed, Ending, History, Published, Row, StoreLost
from tests.support.running_service import RunningService, children_of, words
from tests.support.store_servers import is_alive

LOOK_EVERY_S = 0.2
TRAINING_BEGINS_S = 5.0
"""So long before what a manifest says, at most, did a training begin to read."""
SETTLED_WITHIN_S = 120.0
LAST_S = FIRST_S - 1
"""Timestamp of an interaction that comes after all others, and is of no client."""
PARTS = {
    "trainer": b"ServeReplica:recommender:Trainer",
    "predictor": b"ServeReplica:recommender:Predictor",
    "ingress": b"ServeReplica:recommender:Ingress",
    "fetcher": b"ServeReplica:recommender:FeatureFetcher",
    "model store": b"ray::ModelStore",
}


class HttpService:
    """A running service, its store, and what may be done to both.

    Parameters
    ----------
    running, store
        Started.
    history
        Where versions and faults are recorded.
    chance
        Seeded.
    """

    def __init__(
        self,
        running: RunningService,
        store: EmbeddedValkey,
        store_folder: Path,
        history: History,
        chance: random.Random,
    ) -> None:
        self._running, self._store, self._store_folder = running, store, store_folder
        self._history, self._chance = history, chance
        self._http = httpx.AsyncClient(base_url=running.url, timeout=30)
        self._registry = Registry(running.folder / "state" / "models")
        self._archive = Archive(running.folder / "state" / "archive")
        self._known_versions: set[str] = set()
        self._waiting = -1
        self.failures: list[str] = []
        """Answers that no service gives, whatever breaks: 500."""

    def now(self) -> float:
        """Clock of the history."""
        return time.time()

    # what clients ask

    async def append(self, rows: Sequence[Row]) -> None:
        """See `clients.Service`."""
        bodies = [{**_body(row), "event_id": f"e{row.timestamp:.0f}"} for row in rows]
        await self._ask("POST", "/v1/interactions", json={"interactions": bodies})

    async def recommend(self, user_id: str, k: int) -> Answer:
        """See `clients.Service`."""
        answer = (await self._ask("GET", f"/v1/users/{quote(user_id)}/recommendations", params={"k": k})).json()
        items = tuple(item["item_id"] for item in answer["items"])
        return Answer(items, answer["model_version"], tuple(answer["degraded"]))

    async def interactions(self, user_id: str, cursor: str | None, limit: int) -> Page:
        """See `clients.Service`."""
        query = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        answer = await self._ask("GET", f"/v1/users/{quote(user_id)}/interactions", params=query, missing=True)
        if answer.status_code == 404:
            return [], None
        page = answer.json()
        rows = [
            Row(user_id, each["item_id"], each["weight"], each["timestamp"], each.get("event"))
            for each in page["interactions"]
        ]
        return rows, page["next_cursor"]

    async def put_item(self, item_id: str, *, available: bool) -> None:
        """See `clients.Service`."""
        group = group_of(item_id)
        body = {"title": f"The {item_id}", "features": {"group": group, "tags": [group]}, "available": available}
        await self._ask("PUT", f"/v1/items/{quote(item_id)}", json=body)

    async def delete_item(self, item_id: str) -> None:
        """See `clients.Service`."""
        await self._ask("DELETE", f"/v1/items/{quote(item_id)}")

    async def delete_user(self, user_id: str) -> None:
        """See `clients.Service`."""
        await self._ask("DELETE", f"/v1/users/{quote(user_id)}", missing=True)

    async def activate(self, version: str | None) -> None:
        """See `clients.Service`."""
        await self._ask("PUT", "/v1/models/active", json={"version": version or "latest"})

    async def _ask(self, method: str, path: str, *, missing: bool = False, **named: object) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, **named)  # type: ignore[arg-type]
        except httpx.TransportError as error:
            raise Unanswered from error
        if answer.status_code == 404 and missing:
            return answer
        if answer.status_code >= 500:
            if answer.status_code != 503:
                self.failures.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
            raise Unanswered
        if answer.status_code >= 400:
            raise Refused
        return answer

    # what breaks

    async def kill(self, part: str) -> None:
        """Kill one process."""
        began = self.now()
        found = sorted(pid for pid in children_of(self._running.process.pid) if PARTS[part] in words(pid))
        if found:
            os.kill(self._chance.choice(found), signal.SIGKILL)
        self._disturb(f"killed the {part}", began)

    async def empty_store(self) -> None:
        """Empty the store."""
        began = self.now()
        base = self._base()
        with contextlib.closing(redis.Redis.from_url(self._store.url)) as raw:
            raw.flushall()
        self._history.add(StoreLost(began=began, ended=self.now(), base=base and base.version))

    async def kill_store(self) -> None:
        """Kill the server of the store, and start it again."""
        began = self.now()
        pid = await self._store_pid()
        os.kill(pid, signal.SIGKILL)
        while is_alive(pid):  # noqa: ASYNC110 (it is nobody's child that is waited for here)
            await asyncio.sleep(LOOK_EVERY_S)
        # its guardian ends a moment after it, and until then it looks as if it ran
        socket = Path(self._store.url.removeprefix("unix://"))
        while not (await asyncio.to_thread(self._store.ensure_running) and answers(socket)):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_EVERY_S)
        self._disturb("killed the store", began)

    async def stop_store(self) -> None:
        """Let the store hang for a moment."""
        began, pid = self.now(), await self._store_pid()
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(1.5)
        os.kill(pid, signal.SIGCONT)
        self._disturb("the store hung", began)

    async def lose_archive(self) -> None:
        """Let nothing be written into the archive, as a full disk does."""
        began = self.now()
        archive = self._running.folder / "state" / "archive"
        kept = archive.rename(archive.with_name("archive-aside"))
        archive.write_bytes(b"")  # a file where a folder belongs: root, too, cannot write into it
        await asyncio.sleep(2)
        archive.unlink()
        kept.rename(archive)
        self._disturb("the archive could not be written", began)

    async def _store_pid(self) -> int:
        """Process of the store, which writes its file a moment after it was started."""
        file = self._store_folder / "valkey.pid"
        while not (file.exists() and (text := file.read_text().strip()) and is_alive(int(text))):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_EVERY_S)
        return int(text)

    def _disturb(self, what: str, began: float) -> None:
        self._history.add(Disturbed(began=began, ended=self.now(), what=what))

    # what is looked at

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Record every version that appears meanwhile."""
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    async def settle(self) -> None:
        """Wait until the last of all interactions is learned, for as long as it may take, and record what was.

        What waits is not asked for until then: a store that was just emptied counts from where nothing waits.
        """
        deadline = time.monotonic() + SETTLED_WITHIN_S
        for holds in (self._has_taken_the_last, self._has_learned_the_last, self._has_nothing_waiting):
            while not await holds() and time.monotonic() < deadline:  # noqa: ASYNC110 (of another process)
                await asyncio.sleep(LOOK_EVERY_S)
        base = self._base()
        self._history.ending = Ending(self._learned(base.meta if base else VersionMeta()), self._waiting)

    async def _has_taken_the_last(self) -> bool:
        last = {"user_id": "nobody", "item_id": "i0", "timestamp": LAST_S, "event_id": "last"}
        try:
            await self._ask("POST", "/v1/interactions", json={"interactions": [last]})
        except Unanswered:
            return False
        return True

    async def _has_learned_the_last(self) -> bool:
        base = self._base()
        return base is not None and LAST_S in self._times(base.meta)

    async def _has_nothing_waiting(self) -> bool:
        with contextlib.suppress(Refused, Unanswered):
            self._waiting = (await self._ask("GET", "/v1/status")).json()["interactions_waiting"]
        return self._waiting == 0

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.aclose()

    async def _watch(self) -> None:
        while True:
            # a version that is being published, or pruned, is looked for again
            with contextlib.suppress(ArtifactError, OSError):
                for version in reversed(await asyncio.to_thread(self._registry.versions)):
                    self._record(version)
            await asyncio.sleep(LOOK_EVERY_S)

    def _record(self, version: VersionInfo) -> None:
        if version.version in self._known_versions:
            return
        published = version.created_at.timestamp()
        record = Published(
            began=published - (version.meta.training_s or 0.0) - TRAINING_BEGINS_S,
            ended=self.now(),
            version=version.version,
            parent=version.parent,
            mode=version.meta.mode,
            accepted=version.status != "rejected",
            learned=self._learned(version.meta),
            at_s=published,
        )
        self._known_versions.add(version.version)
        self._history.add(record)

    def _base(self) -> VersionInfo | None:
        """Version that learning goes on from; nobody chooses one here while the store is lost."""
        return next((each for each in self._registry.versions() if each.status != "rejected"), None)

    def _learned(self, meta: VersionMeta) -> Counter[float]:
        return Counter(each for each in self._times(meta) if each >= FIRST_S)

    def _times(self, meta: VersionMeta) -> list[float]:
        times: list[float] = self._archive.read(meta.segments)["timestamp"].tolist()
        return times


def _body(row: Row) -> dict[str, object]:
    said = row._asdict()
    return {name: value for name, value in said.items() if value is not None}
