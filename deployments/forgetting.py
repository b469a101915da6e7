"""Forgetting on request: erases users one after another beside the trainer, and keeps what became of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from recommender.errors import RecommenderError, StateUnavailableError, describe_error
from recommender.storage.audit_trail import digest_of
from recommender.stores.protocols import Store
from recommender.training.erasure import Looked, Place, delete, erase

logger = logging.getLogger("recommender.trainer")

MOST_REPORTS = 100
SWAPPED_WITHIN_S = 90.0
"""For processes that serve to take over what was rewritten; one that has died is waited for for so long as well."""
LOOK_EVERY_S = 0.05


class ForgettingReport(msgspec.Struct, frozen=True):
    """How far the forgetting of a user has come: `running`, `done`, or `failed` with a reason."""

    status: str
    places: list[Looked] = []
    """In `done`: where it was looked, what was erased, and what is left."""
    reason: str | None = None


class ServingPlace:
    """Processes that answer, which have a version in memory.

    Parameters
    ----------
    models
        Handle of the ModelStore.
    """

    name = "serving processes"

    def __init__(self, models: Any) -> None:
        self._models = models

    async def erase(self, user_id: str, through: int) -> int:  # noqa: ARG002 (what serves has been rewritten)
        """Have all of them take over the version that serves, as it is on disk now; returns 0: nothing is counted.

        Raises
        ------
        StateUnavailableError
            One has not done so in time.
        """
        await self._models.reload.remote()
        deadline = time.monotonic() + SWAPPED_WITHIN_S
        while left := await self._models.outdated.remote():
            if time.monotonic() > deadline:
                raise StateUnavailableError(f"{left} processes have not taken over what was rewritten; ask again")
            await asyncio.sleep(LOOK_EVERY_S)
        return 0

    async def look(self, user_id: str) -> tuple[str, int]:  # noqa: ARG002 (they have what is on disk)
        """How many of them have something older than what is on disk."""
        return "what each has loaded", int(await self._models.outdated.remote())


class Forgetting:
    """Forgets users, one at a time.

    Parameters
    ----------
    store
        Which is told at once.
    places
        Where users are erased, in this order.
    alone
        Held meanwhile: no training runs.
    afterwards
        Called when one was erased.
    """

    def __init__(
        self,
        store: Store,
        places: Sequence[Place],
        alone: Callable[[], AbstractAsyncContextManager[None]],
        afterwards: Callable[[], Awaitable[None]],
    ) -> None:
        self._store, self._places = store, places
        self._alone, self._afterwards = alone, afterwards
        self._reports: dict[str, ForgettingReport] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, user_id: str, *, verify: bool) -> ForgettingReport:
        """Begin to forget a user, unless that is under way; returns how far it has come."""
        name = digest_of(user_id)
        running = self._reports.get(name)
        if running is None or running.status != "running":
            self._note(name, ForgettingReport("running"))
            task = asyncio.create_task(self._run(user_id, verify))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return self._reports[name]

    def report(self, user_id: str) -> ForgettingReport | None:
        """How far it has come; None where nobody has asked for it since this process began."""
        return self._reports.get(digest_of(user_id))

    async def _run(self, user_id: str, verify: bool) -> None:
        name = digest_of(user_id)
        try:
            deleted = await delete(self._store, user_id)
            async with self._alone():
                places = await erase(deleted, self._places, verify=verify)
                await self._afterwards()
            self._note(name, ForgettingReport("done", places))
        except (RecommenderError, OSError) as error:
            logger.warning("a user is not forgotten everywhere: %s", describe_error(error))
            self._note(name, ForgettingReport("failed", [], describe_error(error)))
        except Exception as error:
            logger.exception("forgetting a user failed")
            self._note(name, ForgettingReport("failed", [], describe_error(error)))

    def _note(self, name: str, report: ForgettingReport) -> None:
        self._reports.pop(name, None)
        self._reports[name] = report
        while len(self._reports) > MOST_REPORTS:
            del self._reports[next(iter(self._reports))]
