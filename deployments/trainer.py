"""Trainer: the deployment that trains, publishes and activates versions."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from ray import serve

from deployments.args import AppArgs
from deployments.exposure_keeping import ExposureKeeping
from deployments.forgetting import Forgetting, ServingPlace
from deployments.handle_calls import with_request_ids
from deployments.messages import answer
from deployments.mlflow_runs import MlflowRuns
from deployments.model_store import RegistryPlace, model_store
from deployments.telemetry import logs, metrics, otlp_metrics
from deployments.telemetry.measured_store import measured
from deployments.telemetry.metric_snapshot import MetricsSnapshot
from deployments.telemetry.model_freshness import tell_freshness
from deployments.telemetry.training_trace import TrainingTrace
from recommender.datasets import open_dataset
from recommender.errors import RecommenderError, describe_error
from recommender.evaluation.experiment_counts import VariantCounts
from recommender.exposures.report import AttributionQuery
from recommender.storage.archive.archive import Archive
from recommender.storage.audit_trail import AuditTrail
from recommender.storage.file_store import open_files
from recommender.storage.lease import lease_on
from recommender.storage.object_store import within
from recommender.storage.registry.version_meta import Mode
from recommender.stores import Store, open_store
from recommender.stores.audit_log import open_audit_log
from recommender.stores.log_erasure import LogErasure
from recommender.training import unreadable_entries
from recommender.training.canary import Canary
from recommender.training.erasure import AuditPlace, Place, StorePlace, VersionPlace
from recommender.training.interaction_queries import HistoryRow
from recommender.training.pipeline import TrainingPipeline
from recommender.training.publishing import Learned
from recommender.training.schedule import Backoff

logger = logging.getLogger("recommender.trainer")

LOOK_EVERY_S = 1.0
NICENESS = 10
ARCHIVE_AUDIT_EVERY_S = 60.0
JUDGE_CANARY_EVERY_S = 2.0
HURRY_FROM = 0.5
"""Share of the log's room at which a canary has to be decided, because nothing is learned while it is tried."""


@serve.deployment
class Trainer:
    """Deployment that trains and publishes versions; there is one.

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
        otlp_metrics.begin()
        models = RegistryPlace(str(within(args.state_dir, "models")), args.require_signed)

        def opened() -> Store:
            # one for each that reads it in its own time: what holds up one opens no circuit breaker for the others
            return measured(open_store(store_url, max_backlog=args.max_backlog))

        self._args = args
        self._registry = models.open(args.signing_key())
        self._learner = TrainingPipeline(
            self._registry,
            Archive(within(args.state_dir, "archive")),
            opened(),
            args.settings(),
            increment=args.increment(),
            feedback=args.training.feedback(),
            holdout=args.training.holdout,
            margin=args.training.margin,
            keep_versions=args.training.keep_versions,
            approximate_above=args.training.approximate_above,
            forget=args.training.forget.settings(),
            attributed_through=lambda: self._exposures.attributed_through,
        )
        self._audit = AuditTrail(open_audit_log(store_url), open_files(within(args.state_dir, "audit")))
        self._models = model_store(models)
        self._lease = lease_on(args.state_dir)
        self._lock = asyncio.Lock()
        self._backoff, self._tidying = Backoff(), Backoff()
        self._audited_at = 0.0
        # a version may have been published just before the process before this one died
        self._is_served = False
        self._doing = "idle"
        self._last: dict[str, Any] | None = None
        self._running: asyncio.Task[None] | None = None
        self._store = opened()
        self._canary = Canary(self._registry, self._store, args.training.canary.settings())
        self._judged_at = 0.0
        # until the first look: the process before this one may have left one behind
        self._has_canary = True
        self._exposures = ExposureKeeping(
            args.state_dir,
            opened(),
            args.exposures,
            self._learner.first_seen,
        )
        self._forgetting = self._made_forgetting(store_url)
        self._runs = MlflowRuns(self._registry, args.training.mlflow)
        self._logging_runs = asyncio.create_task(self._runs.follow())
        self._watch = asyncio.create_task(self._watch_schedule())
        self._freshness = asyncio.create_task(tell_freshness(self._models, opened()))

    @with_request_ids
    async def train(self, mode: Mode) -> bool:
        """Begin a training; False when one is running already, or a version is being tried."""
        if self._lock.locked() or await self._canary.version() is not None:
            return False
        self._running = asyncio.create_task(self._train(mode))
        await asyncio.sleep(0)  # let it take the lock, so that a second caller is refused
        return True

    async def status(self) -> dict[str, Any]:
        """What it does and how the last training went."""
        versions = await asyncio.to_thread(self._registry.versions)
        health = unreadable_entries.health(versions)
        if health == "ok" and self._learner.retention.failure:
            health = f"degraded: {self._learner.retention.failure}"
        if health == "ok" and (refused := next((each for each in versions if each.refused), None)):
            health = f"degraded: version {refused.version} is refused: {refused.refused}"
        if health == "ok" and self._runs.failure:
            health = f"degraded: {self._runs.failure}"
        return {
            "doing": self._doing,
            "last_training": self._last,
            "pid": os.getpid(),
            "health": health,
            "store_resets": self._learner.store_resets,
            "exposures": self._exposures.health,
            "canary": await self._canary.version(),
        }

    async def counted(self) -> MetricsSnapshot:
        """What this replica has counted."""
        return metrics.counted()

    @with_request_ids
    async def history(self, user_id: str, after_offset: int) -> list[HistoryRow]:
        """Learned interactions of a user with an offset above `after_offset`, newest first."""
        return await self._learner.history(user_id, after_offset)

    @with_request_ids
    async def user_interactions(self, user_id: str, cursor: str | None, limit: int) -> bytes | None:
        """JSON of a page of a user's interactions; None where there are none."""
        page = await self._learner.user_interactions(user_id, cursor, limit)
        return answer(page) if page.interactions or cursor else None

    @with_request_ids
    async def interactions(self, cursor: str | None, limit: int) -> bytes:
        """JSON of a page of all interactions."""
        return answer(await self._learner.interactions(cursor, limit))

    @with_request_ids
    async def audit(self, cursor: str | None, limit: int) -> bytes:
        """JSON of a page of what was done by hand."""
        return answer(await self._audit.page(cursor, limit))

    @with_request_ids
    async def exposures(self, cursor: str | None, limit: int) -> bytes:
        """JSON of a page of exposures, newest first."""
        return await self._exposures.page(cursor, limit)

    @with_request_ids
    async def attribution(self, query: AttributionQuery, n_items: int | None) -> bytes:
        """JSON of what came of what was shown."""
        return await self._exposures.attribution(query, n_items)

    @with_request_ids
    async def experiment_counts(self, experiment: str, event: str) -> Mapping[str, VariantCounts]:
        """What judging an experiment needs of each variant."""
        return await self._exposures.experiment_counts(experiment, event)

    @with_request_ids
    async def forget(self, user_id: str, verify: bool) -> bytes:
        """Begin to forget a user; JSON of how far it has come."""
        return answer(self._forgetting.begin(user_id, verify=verify))

    @with_request_ids
    async def forgetting(self, user_id: str) -> bytes | None:
        """JSON of how far the forgetting of a user has come; None where nobody has asked for it."""
        report = self._forgetting.report(user_id)
        return None if report is None else answer(report)

    def check_health(self) -> None:
        """Serve asks this; without its watch nothing would be learned."""
        if self._watch.done():
            raise RuntimeError(f"the trainer's watch ended: {self._watch}")
        self._exposures.check()

    def _made_forgetting(self, store_url: str) -> Forgetting:
        archive = Archive(within(self._args.state_dir, "archive"))
        places: list[Place] = [
            VersionPlace(self._registry, archive),
            ServingPlace(self._models),
            self._exposures,
            AuditPlace(self._audit),
            # last: without the note of the deletion whoever still knew the user would know them again
            StorePlace(LogErasure(store_url)),
        ]
        store = open_store(store_url, max_backlog=self._args.max_backlog)
        return Forgetting(store, places, self._alone, self._learner.drop_loaded)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """While no training runs, here or elsewhere."""
        async with self._lock, self._lease.held():
            yield

    async def _watch_schedule(self) -> None:
        while True:
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 (whatever it was, without this nothing is learned any more)
                logger.warning("cannot look for work: %s", describe_error(error))
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        """Do what is to be done now."""
        if not self._is_served:
            await self._serve()
        await self._learner.reconcile()
        self._tell_resets()
        if self._learner.retention.failure and not self._tidying.remaining_s and not self._lock.locked():
            await self._tidy()
        await self._archive_audit()
        if await self._try_canary() or self._backoff.remaining_s:
            return
        mode = await self._due()
        if mode is not None:
            await self._train(mode)

    async def _try_canary(self) -> bool:
        """Judge the version that is being tried; True while there is one, on which what is learned next may build."""
        version = await self._canary.version()
        if version is None and not self._has_canary:
            return False
        if time.monotonic() < self._judged_at + JUDGE_CANARY_EVERY_S or self._lock.locked():
            return version is not None
        self._judged_at = time.monotonic()
        hurry = await self._learner.waiting() > HURRY_FROM * self._args.max_backlog
        async with self._lease.held():
            verdict = await self._canary.look(self._counts, time.time(), hurry=hurry)
        self._has_canary = verdict is not None and verdict.decision == "wait"
        if verdict is not None and not self._has_canary:
            outcome = "promoted" if verdict.decision == "promote" else "rolled back"
            self._last = {**(self._last or {}), "outcome": outcome, "version": version, "reason": verdict.reason}
            await self._serve()
        return self._has_canary

    async def _counts(self, experiment: str, event: str) -> Mapping[str, VariantCounts]:
        return await self._exposures.experiment_counts(experiment, event)

    async def _serve(self) -> None:
        """Have the newest version served; where that fails it is tried again with the next look."""
        self._is_served = False
        try:
            await self._models.refresh.remote()
            self._is_served = True
        except Exception as error:  # noqa: BLE001 (the training is done, whatever becomes of this)
            logger.warning("the model store does not take over the newest version yet: %s", describe_error(error))

    async def _tidy(self) -> None:
        async with self._lock:
            self._tidying.fail()  # until it has been done
            async with self._lease.held():
                await self._learner.retention.tidy()
            if self._learner.retention.failure is None:
                self._tidying.succeed()

    async def _archive_audit(self) -> None:
        if time.monotonic() < self._audited_at + ARCHIVE_AUDIT_EVERY_S:
            return
        self._audited_at = time.monotonic()
        try:
            await self._audit.archive()
        except RecommenderError as error:
            logger.warning("entries of the audit stay in the store for now: %s", describe_error(error))

    def _tell_resets(self) -> None:
        # no counter: those begin with their first event, from which `increase` sees nothing
        metrics.show(metrics.STORE_RESETS, self._learner.store_resets)

    async def _due(self) -> Mode | None:
        if self._args.dataset != "none" and await self._learner.is_new():
            return "full"
        return await self._learner.due(self._args.training.schedule())

    async def _train(self, mode: Mode) -> None:
        async with self._lock:
            self._doing = "starting"  # at once: whoever was answered 202 and sees "idle" takes it for done
            started = time.time()
            outcome: dict[str, Any] = {"mode": mode, "started_at": started}
            self._trace = TrainingTrace(mode)
            try:
                learned = await self._learn(mode)
                outcome |= {"mode": learned.mode, "version": learned.version}
                is_tried = learned.accepted and learned.mode == "full" and await self._canary.begin(learned.version)
                outcome["outcome"] = "canary" if is_tried else "published" if learned.accepted else "rejected"
                if learned.reason:
                    outcome["reason"] = learned.reason
                if learned.accepted:
                    self._backoff.succeed()
                else:
                    self._backoff.fail()  # where it was the first, the schedule has nothing to wait for
                await self._serve()
            except Exception as error:
                # whatever went wrong, the running model serves on and the reason is in the status
                logger.exception("training failed")
                next_try_at = round(time.time() + self._backoff.fail(), 3)
                outcome |= {"outcome": "failed", "reason": describe_error(error), "next_try_at": next_try_at}
            outcome["seconds"] = round(time.time() - started, 3)
            self._last, self._doing = outcome, "idle"
            self._trace.end(outcome)
            metrics.count(metrics.TRAININGS, mode=outcome["mode"], outcome=outcome["outcome"])
            metrics.observe(metrics.TRAINING_SECONDS, outcome["seconds"], mode=outcome["mode"])

    async def _learn(self, mode: Mode) -> Learned:
        async with self._lease.held():
            if self._args.dataset != "none" and await self._learner.is_new():
                self._report(f"loading {self._args.dataset}")
                dataset = await asyncio.to_thread(open_dataset, self._args.dataset)
                for note in dataset.notes:
                    logger.warning("%s: %s", self._args.dataset, note)
                return await self._learner.bootstrap(dataset, self._report)
            return await self._learner.learn(mode, self._report)

    def _report(self, doing: str) -> None:
        self._doing = doing
        self._trace.phase(doing)
        logger.info("%s", doing)
