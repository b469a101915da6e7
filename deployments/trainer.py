"""Trainer: learns, publishes, and makes the new version serve."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import Any

from ray import serve

from deployments import logs
from deployments.args import AppArgs
from deployments.model_store import model_store
from recommender.archive import Archive
from recommender.errors import RecommenderError
from recommender.learner import HistoryRow, Learner
from recommender.registry import Registry
from recommender.sources import open_dataset
from recommender.stores import open_store

logger = logging.getLogger("recommender.trainer")

LOOK_EVERY_S = 1.0
NICENESS = 10


@serve.deployment
class Trainer:
    """One process that owns learning.

    Parameters
    ----------
    args
        Of the application.
    store_url
        Where log and features are.
    """

    async def __init__(self, args: AppArgs, store_url: str) -> None:  # type: ignore[misc]  # Serve awaits it
        # serving goes first when both want the processor
        os.nice(NICENESS)
        logs.configure()
        state = Path(args.state_dir)
        self._args = args
        self._registry = Registry(state / "models")
        self._learner = Learner(
            self._registry,
            Archive(state / "archive"),
            open_store(store_url),
            args.model.settings(),
            holdout=args.training.holdout,
            keep_versions=args.training.keep_versions,
        )
        self._models = model_store(str(state / "models"))
        self._lock = asyncio.Lock()
        self._doing = "idle"
        self._last: dict[str, Any] | None = None
        self._running: asyncio.Task[None] | None = None
        self._watch = asyncio.create_task(self._watch_schedule())

    async def train(self) -> bool:
        """Begin a full training; False when one is running already."""
        if self._lock.locked():
            return False
        self._running = asyncio.create_task(self._train("full"))
        await asyncio.sleep(0)  # let it take the lock, so that a second caller is refused
        return True

    async def status(self) -> dict[str, Any]:
        """What it does and how the last training went."""
        return {"doing": self._doing, "last_training": self._last, "pid": os.getpid()}

    async def history(self, user_id: str, after_offset: int) -> list[HistoryRow]:
        """Learned interactions of a user with an offset above `after_offset`, newest first."""
        return await self._learner.history(user_id, after_offset)

    def check_health(self) -> None:
        """Serve asks this; without its watch nothing would be learned."""
        if self._watch.done():
            raise RuntimeError(f"the trainer's watch ended: {self._watch}")

    async def _watch_schedule(self) -> None:
        reconciled = False
        while True:
            try:
                if not reconciled:
                    await self._learner.reconcile()
                    reconciled = True
                if await self._is_due():
                    await self._train("full")
            except RecommenderError as error:
                logger.warning("cannot look for work: %s", error)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _is_due(self) -> bool:
        newest = await asyncio.to_thread(self._learner.newest)
        if newest is None:
            return await self._learner.waiting() >= self._args.training.min_interactions or (
                self._args.dataset != "none" and self._last is None
            )
        every = self._args.training.full_every_s
        if every is None or time.time() - newest.created_at.timestamp() < every:
            return False
        return await self._learner.waiting() >= self._args.training.min_interactions

    async def _train(self, mode: str) -> None:
        async with self._lock:
            started = time.time()
            outcome: dict[str, Any] = {"mode": mode, "started_at": started}
            try:
                outcome["version"] = await self._learn()
                outcome["outcome"] = "published"
                await self._models.refresh.remote()
            except Exception as error:
                # whatever went wrong, the running model serves on and the reason is in the status
                logger.exception("training failed")
                outcome |= {"outcome": "failed", "reason": str(error)}
            outcome["seconds"] = round(time.time() - started, 3)
            self._last, self._doing = outcome, "idle"

    async def _learn(self) -> str:
        if self._learner.newest() is None and self._args.dataset != "none":
            self._report(f"loading {self._args.dataset}")
            dataset = await asyncio.to_thread(open_dataset, self._args.dataset)
            return await self._learner.bootstrap(dataset, self._report)
        return await self._learner.learn_full(self._report)

    def _report(self, doing: str) -> None:
        self._doing = doing
        logger.info("%s", doing)
