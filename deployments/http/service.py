"""Service: the graph as the routes call it, one method a kind of request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from ray import serve
from ray.serve.exceptions import DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from deployments.handle_calls import call_long
from deployments.http.exposure_log import ExposureLog
from deployments.http.problems import Problem, unavailable
from deployments.http.version_previews import VersionPreviews
from deployments.messages import NO_PLACEMENT
from deployments.stages.chain import Chain
from deployments.stages.routing import QueryRouter
from deployments.telemetry import logs, metrics
from deployments.telemetry.metric_snapshot import MetricsSnapshot, together
from deployments.telemetry.traffic_history import TrafficHistory, merged
from recommender.errors import StoreError
from recommender.evaluation.experiment_counts import VariantCounts
from recommender.schema import Query, ReadRequest
from recommender.stores.audit_log import AuditEntry, AuditLog, MemoryAuditLog
from recommender.stores.protocols import Appended, Interaction, StoreHealth

if TYPE_CHECKING:
    from recommender.exposures.report import AttributionQuery
    from recommender.models.feedback import Feedback
    from recommender.training.interaction_queries import HistoryRow  # with it comes all of training

logger = logging.getLogger("recommender.ingress")

ASK_TIMEOUT_S = 1.5
"""For each replica to answer; those that did are told of, whoever did not."""
STATUS_TIMEOUT_S = 2.0
ACTIVATION_TIMEOUT_S = 6.0
"""With one more round of asking it stays below the time that a request has."""


class Service:
    """Client of the graph for the routes: one method a kind of request.

    Parameters
    ----------
    fetcher, predictor, trainer
        Deployments.
    models
        The ModelStore.
    store
        For what is written, and read beside the hot path.
    audit
        For what is done by hand.
    sample
        Share of the users whose exposures are kept.
    router
        Which way queries go; along the chain when absent.
    feedback
        Which interactions count for an item, in previews.
    """

    def __init__(
        self,
        fetcher: DeploymentHandle,
        predictor: DeploymentHandle,
        trainer: DeploymentHandle,
        models: Any,
        store: Any,
        audit: AuditLog | None = None,
        sample: float = 1.0,
        router: QueryRouter | None = None,
        feedback: Feedback | None = None,
    ) -> None:
        self._fetcher, self._predictor, self._trainer = fetcher, predictor, trainer
        self._models = models
        self.store = store
        self._audit = audit or MemoryAuditLog()
        self.exposures = ExposureLog(store, sample)
        self.router = router or QueryRouter(Chain(fetcher, predictor))
        self._versions = VersionPreviews(models, store, feedback)

    async def prepare_store(self) -> None:
        """Before anything is written: an empty store is to count on behind what was learned.

        What cannot be asked now, or is not empty, is left to the trainer, which looks again and again.
        """
        try:
            offset, sequence = await asyncio.wait_for(self._models.learned.remote(), STATUS_TIMEOUT_S)
            await self.store.advance(offset, sequence, only_empty=True)
        except Exception as error:  # noqa: BLE001 (a service whose parts are away starts, and says so when asked)
            logger.warning("the trainer will reconcile the store: %s", error)

    async def recommend(self, query: Query) -> bytes:
        """JSON of one answer."""
        return (await self.recommend_many([query]))[0]

    async def recommend_many(self, queries: Sequence[Query]) -> list[bytes]:
        """JSON of each answer, in order.

        Every recommendation passes through here, one or many: what is to happen before queries are answered stands
        before `answer_queries`, what is to be kept of the answers behind it.
        """
        began = time.perf_counter()
        answers = await self.router.answer_queries(queries)
        if NO_PLACEMENT in answers:
            raise Problem(404, f"there is no placement {queries[answers.index(NO_PLACEMENT)].placement!r}")
        self.exposures.record(answers, time.perf_counter() - began)
        return answers

    async def preview(self, query: Query, version: str | None = None) -> bytes:
        """JSON of an answer that nobody is shown but who looks after the service; it is no exposure.

        Parameters
        ----------
        version
            That is to answer; the one that serves where it is None.
        """
        if version is None:
            return (await self.router.answer_queries([query]))[0]
        return await self._versions.answer(query, version)

    async def append(self, interactions: Sequence[Interaction]) -> Appended:
        """Put interactions into the log, all or none; they are durable when this returns."""
        appended: Appended = await self.store.append(interactions)
        metrics.count(metrics.EVENTS, appended.accepted, outcome="accepted")
        metrics.count(metrics.EVENTS, appended.duplicates, outcome="duplicate")
        return appended

    async def delete_user(self, user_id: str) -> bool:
        """Erase a user; False when nobody knew them."""
        is_known = await self.store.delete_user(user_id)
        await self.exposures.forget(user_id)
        return is_known or bool(await self.history(user_id, 0))

    async def delete_item(self, item_id: str) -> bool:
        """Delete an item; False where neither the store nor the version that serves has it.

        After a loss of the store only a version may know it; so too where it was in nothing but interactions.
        """
        if await self.store.delete_item(item_id):
            return True
        known = await self.router.returns_item(item_id)
        return known and await self.store.delete_item(item_id, without_record=True)

    async def ask(self, request: ReadRequest) -> bytes | None:
        """JSON of the answer to one read request; None where nothing is known of what it names."""
        return await self.router.answer(request)

    async def train(self, mode: str) -> None:
        """Begin a training, or answer 409."""
        if not await self._trainer.train.remote(logs.request_ids(), mode):
            raise Problem(409, "a training is running, or a new version is being tried; see /v1/status")

    async def history(self, user_id: str, after_offset: int) -> list[HistoryRow]:
        """Learned interactions of a user, newest first."""
        rows: list[HistoryRow] = await call_long(self._trainer.history, user_id, after_offset)
        return rows

    async def user_interactions(self, user_id: str, cursor: str | None, limit: int) -> bytes | None:
        """JSON of a page of a user's interactions; None where there are none."""
        page: bytes | None = await call_long(self._trainer.user_interactions, user_id, cursor, limit)
        return page

    async def interactions(self, cursor: str | None, limit: int) -> bytes:
        """JSON of a page of all interactions."""
        page: bytes = await call_long(self._trainer.interactions, cursor, limit)
        return page

    async def forget(self, user_id: str, verify: bool) -> bytes:
        """Begin to forget a user everywhere; JSON of how far it has come."""
        await self.exposures.forget(user_id)
        report: bytes = await call_long(self._trainer.forget, user_id, verify)
        return report

    async def forgetting(self, user_id: str) -> bytes | None:
        """JSON of how far the forgetting of a user has come; None where nobody has asked for it."""
        report: bytes | None = await call_long(self._trainer.forgetting, user_id)
        return report

    async def record(self, entry: AuditEntry) -> None:
        """Write down what somebody did; it is in the store when this returns."""
        await self._audit.append(entry)

    async def audit_page(self, cursor: str | None, limit: int) -> bytes:
        """JSON of a page of what was done, newest first."""
        page: bytes = await call_long(self._trainer.audit, cursor, limit)
        return page

    async def exposure_page(self, cursor: str | None, limit: int) -> bytes:
        """JSON of a page of exposures, newest first."""
        page: bytes = await call_long(self._trainer.exposures, cursor, limit)
        return page

    async def attribution(self, query: AttributionQuery) -> bytes:
        """JSON of what came of what was shown."""
        replicas = _answered(await _ask_all(self._predictor, "status"))
        n_items = max((replica.get("items") or 0 for replica in replicas), default=0)
        found: bytes = await call_long(self._trainer.attribution, query, n_items or None)
        return found

    async def experiment_counts(self, experiment: str, event: str) -> Mapping[str, VariantCounts]:
        """What judging an experiment needs of each variant that was shown."""
        found: Mapping[str, VariantCounts] = await call_long(self._trainer.experiment_counts, experiment, event)
        return found

    async def versions(self) -> list[dict[str, Any]]:
        """Versions in the registry, newest first."""
        listed: list[dict[str, Any]] = await self._models.versions.remote()
        return listed

    async def active(self) -> dict[str, Any]:
        """Which version serves."""
        active: dict[str, Any] | None = await self._models.active.remote()
        if active is None:
            raise unavailable("no model serves yet; the first one is being trained")
        return active

    async def activate(self, version: str) -> dict[str, Any]:
        """Make a version serve on every replica, and answer when each has confirmed it."""
        serving = await self._models.activate.remote(version)
        deadline = time.monotonic() + ACTIVATION_TIMEOUT_S
        while True:
            answers = [*await _ask_all(self._predictor, "status"), *await self._ingresses()]
            missing = _unconfirmed(answers, serving)
            if answers and not missing:
                return await self.active()
            if time.monotonic() > deadline:
                raise unavailable(_not_everywhere(serving, answers, missing))
            await asyncio.sleep(0.02)

    async def counted(self) -> MetricsSnapshot:
        """What all replicas have counted, added up; one that does not answer in time is left out."""
        return together(await self.counted_by_replica())

    async def counted_by_replica(self) -> list[MetricsSnapshot]:
        """What each replica has counted; one that does not answer in time is left out."""
        handles = (_own_deployment(), self._fetcher, self._predictor, self._trainer)
        answers = await asyncio.gather(*(_ask_all(handle, "counted") for handle in handles))
        return [answer for each in answers for answer in each if isinstance(answer, MetricsSnapshot)]

    async def traffic(self) -> TrafficHistory:
        """Requests of the last day by minute, of all replicas of this deployment that answer."""
        answers = await _ask_all(_own_deployment(), "traffic")
        return merged(each for each in answers if isinstance(each, TrafficHistory))

    async def status(self) -> dict[str, Any]:
        """Health of each part, as far as it answers."""
        active, predictors, ingresses, fetchers, trainer, log, store, waiting = await asyncio.gather(
            _or_error(self._models.active.remote()),
            _or_error(_ask_all(self._predictor, "status")),
            _or_error(self._ingresses()),
            _or_error(_ask_all(self._fetcher, "counted")),
            _or_error(self._trainer.status.remote()),
            _or_error(self.store.state()),
            _or_error(self.store.ping()),
            _or_error(self.store.count_exposures()),
        )
        shown = {"waiting": None if isinstance(waiting, Exception) else waiting, "dropped": self.exposures.dropped}
        status = _status(active, predictors, fetchers, trainer, log, store)
        doors = _answered(ingresses) if isinstance(ingresses, list) else []
        status["replicas"] += [{name: value for name, value in each.items() if name != "near"} for each in doors]
        return {**status, "exposures": shown, "near": _near(self.router.status(), doors)}

    async def is_ready(self) -> bool:
        """Whether every predictor that answers has a model."""
        replicas = _answered(await _ask_all(self._predictor, "status"))
        return bool(replicas) and all(replica["model_version"] for replica in replicas)

    async def _ingresses(self) -> list[Any]:
        """Status of each replica of this deployment, where they answer near."""
        return await _ask_all(_own_deployment(), "status") if self.router.answers_near else []


def _own_deployment() -> DeploymentHandle:
    context = serve.get_replica_context()
    return serve.get_deployment_handle(context.deployment, context.app_name)


async def _ask_all(handle: DeploymentHandle, method: str) -> list[Any]:
    """What each replica answers, or the error in its place; nothing when Serve knows of no replica."""
    # by reference: by value, Ray would keep every broadcast's arguments for ever
    asked = handle.options(_by_reference=True).broadcast(method)
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            # not results_async(), which has all answers or none: one silent replica would hide the others
            replicas = await asked._fetch_replica_results_async()
    except (DeploymentUnavailableError, TimeoutError) as error:
        logger.warning("no replica of %s to ask: %s", handle.deployment_name, error)
        return []
    with_request_ids = (asyncio.wait_for(replica.get_async(), ASK_TIMEOUT_S) for replica in replicas)
    return await asyncio.gather(*with_request_ids, return_exceptions=True)


def _answered(answers: Sequence[Any]) -> list[Any]:
    return [answer for answer in answers if not isinstance(answer, BaseException)]


def _unconfirmed(answers: Sequence[Any], serving: str | None) -> list[Any]:
    """Answers, or errors in their place, that do not say that this version serves."""
    return [each for each in answers if not isinstance(each, dict) or each["model_version"] != serving]


def _not_everywhere(serving: str | None, answers: Sequence[Any], missing: Sequence[Any]) -> str:
    others = [f"{each['replica']} serves {each['model_version']}" for each in _answered(missing)]
    silent = len(missing) - len(others)
    named = [*others, *([f"{silent} did not answer"] if silent else [])]
    return (
        f"model {serving} is active, and {len(answers) - len(missing)} of {len(answers)} replicas confirm it "
        f"({'; '.join(named) or 'none is there'}); the others go on with what they have and follow by themselves, "
        "see /v1/status"
    )


async def _or_error(awaited: Any) -> Any:
    """What is awaited, or the error: a status tells of a part that is down, it does not fail with it."""
    try:
        return await asyncio.wait_for(awaited, STATUS_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001 (whatever a part failed with is what the status tells)
        logger.warning("a part does not answer: %s", error)
        return error


def _status(active: Any, predictors: Any, fetchers: Any, trainer: Any, log: Any, store: Any) -> dict[str, Any]:
    serving = active if isinstance(active, dict) else {}
    learned = serving.get("log_offset", 0)
    newest = serving.get("newest_timestamp")
    training = trainer if isinstance(trainer, dict) else {}
    parts = {
        "model_store": active,
        "predictors": predictors,
        "feature_fetchers": fetchers,
        "trainer": trainer,
        "exposures": _exposure_health(trainer),
        "store": log if isinstance(log, Exception) else store,
    }
    return {
        "model_version": serving.get("version"),
        "pinned": serving.get("pinned", False),
        "replicas": _answered(predictors) if isinstance(predictors, list) else [],
        "interactions_waiting": None if isinstance(log, Exception) else max(0, log.last_offset - learned),
        "seconds_since_newest_learned": None if newest is None else max(0.0, round(time.time() - newest, 3)),
        "training": training.get("doing"),
        "last_training": training.get("last_training"),
        "health": {name: _health(part) for name, part in parts.items()},
        "store": None if isinstance(store, Exception) else _shown_store(store, training.get("store_resets", 0)),
    }


def _exposure_health(trainer: Any) -> Any:
    return {"health": trainer["exposures"]} if isinstance(trainer, dict) and "exposures" in trainer else trainer


def _near(own: dict[str, Any], doors: Sequence[Any]) -> dict[str, Any]:
    """The rule of this replica, and what all of them have answered in either way."""
    near, chain = (sum(each["near"][way] for each in doors) or own[way] for way in ("near", "chain"))
    share = round(near / (near + chain), 4) if near + chain else None
    return {**own, "near": near, "chain": chain, "share_near": share}


def _shown_store(store: Any, resets: int) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(store)
    if resets:
        shown["warnings"].append(
            f"it came back with less than it had had, {resets} times since the trainer started (a failover, a restore, "
            "FLUSHALL?): what it lost is lost unless it was learned; what it took since is learned"
        )
    return {**shown, "resets": resets}


def _health(part: Any) -> str:
    if isinstance(part, StoreError):
        return f"down: {part}"
    if isinstance(part, StoreHealth) and part.fault:
        return f"degraded: {part.fault}"
    if isinstance(part, list):
        return _health_of_replicas(part)
    if part is None:
        return "down: no model serves yet"
    if isinstance(part, dict) and "health" in part:
        return str(part["health"])
    return "down" if isinstance(part, Exception) else "ok"


def _health_of_replicas(answers: Sequence[Any]) -> str:
    well = len(_answered(answers))
    if well == 0:
        return f"down: none of {len(answers)} answers" if answers else "down: there is none"
    return "ok" if well == len(answers) else f"degraded: {len(answers) - well} of {len(answers)} do not answer"


def current() -> Service:
    """Service of this replica."""
    service: Service = serve.get_replica_context().servable_object.service
    return service
