"""Trainer: learns, publishes, and makes the new version serve."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import Any

from ray import serve

from deployments import logs, metrics
from deployments.args import AppArgs
from deployments.calls import answering
from deployments.freshness import tell_freshness
from deployments.measured_store import measured
from deployments.messages import answer
from deployments.model_store import model_store
from recommender import files, poisoned
from recommender.archive import Archive
from recommender.bucket import Bucket, is_url, within
from recommender.errors import RecommenderError, TrainingError
from recommender.learner import HistoryRow, Learned, Learner
from recommender.registry import Registry
from recommender.registry.version_meta import Mode
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
        models = within(args.state_dir, "models")
        self._args = args
        self._registry = Registry(models)
        self._learner = Learner(
            self._registry,
            Archive(within(args.state_dir, "archive")),
            measured(open_store(store_url)),
            args.settings(),
            increment=args.increment(),
            feedback=args.training.feedback(),
            holdout=args.training.holdout,
            margin=args.training.margin,
            keep_versions=args.training.keep_versions,
            approximate_above=args.training.approximate_above,
        )
        self._models = model_store(str(models))
        self._lock = asyncio.Lock()
        self._doing = "idle"
        self._last: dict[str, Any] | None = None
        self._running: asyncio.Task[None] | None = None
        self._watch = asyncio.create_task(self._watch_schedule())
        self._freshness = asyncio.create_task(tell_freshness(self._models, measured(open_store(store_url))))

    @answering
    async def train(self, mode: Mode) -> bool:
        """Begin a training; False when one is running already."""
        if self._lock.locked():
            return False
        self._running = asyncio.create_task(self._train(mode))
        await asyncio.sleep(0)  # let it take the lock, so that a second caller is refused
        return True

    async def status(self) -> dict[str, Any]:
        """What it does and how the last training went."""
        health = poisoned.health(await asyncio.to_thread(self._registry.versions))
        return {"doing": self._doing, "last_training": self._last, "pid": os.getpid(), "health": health}

    @answering
    async def history(self, user_id: str, after_offset: int) -> list[HistoryRow]:
        """Learned interactions of a user with an offset above `after_offset`, newest first."""
        return await self._learner.history(user_id, after_offset)

    @answering
    async def interactions(self, cursor: str | None, limit: int) -> bytes:
        """JSON of a page of all interactions."""
        return answer(await self._learner.interactions(cursor, limit))

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
                mode = await self._due()
                if mode is not None:
                    await self._train(mode)
            except RecommenderError as error:
                logger.warning("cannot look for work: %s", error)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _due(self) -> Mode | None:
        if self._args.dataset != "none" and await asyncio.to_thread(self._learner.base) is None:
            return "full" if self._last is None else None
        return await self._learner.due(self._args.training.schedule())

    async def _train(self, mode: Mode) -> None:
        async with self._lock:
            self._doing = "starting"  # at once: whoever was answered 202 and sees "idle" takes it for done
            started = time.time()
            outcome: dict[str, Any] = {"mode": mode, "started_at": started}
            try:
                learned = await self._learn(mode)
                outcome |= {"mode": learned.mode, "version": learned.version}
                outcome["outcome"] = "published" if learned.accepted else "rejected"
                if learned.reason:
                    outcome["reason"] = learned.reason
                await self._models.refresh.remote()
            except Exception as error:
                # whatever went wrong, the running model serves on and the reason is in the status
                logger.exception("training failed")
                outcome |= {"outcome": "failed", "reason": str(error)}
            outcome["seconds"] = round(time.time() - started, 3)
            self._last, self._doing = outcome, "idle"
            metrics.count(metrics.TRAININGS, mode=outcome["mode"], outcome=outcome["outcome"])
            metrics.observe(metrics.TRAINING_SECONDS, outcome["seconds"], mode=outcome["mode"])

    async def _learn(self, mode: Mode) -> Learned:
        try:
            # held by the process, so that the system frees it whatever becomes of this one
            with files.locked(_locks(self._args.state_dir) / "trainer.lock", wait=False):
                return await self._learn_alone(mode)
        except BlockingIOError:
            raise TrainingError(
                f"another trainer is learning into {self._args.state_dir}; a folder has one service"
            ) from None

    async def _learn_alone(self, mode: Mode) -> Learned:
        if self._args.dataset != "none" and await asyncio.to_thread(self._learner.base) is None:
            self._report(f"loading {self._args.dataset}")
            dataset = await asyncio.to_thread(open_dataset, self._args.dataset)
            for note in dataset.notes:
                logger.warning("%s: %s", self._args.dataset, note)
            return await self._learner.bootstrap(dataset, self._report)
        return await self._learner.learn(mode, self._report)

    def _report(self, doing: str) -> None:
        self._doing = doing
        logger.info("%s", doing)


def _locks(state_dir: str) -> Path:
    """Folder for the lock. With a bucket it is one of this node: two there cannot learn at once."""
    return Bucket(state_dir).cache() if is_url(state_dir) else Path(state_dir)
