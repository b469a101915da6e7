"""Ingress: the deployment that serves HTTP."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import os
from typing import Any

from fastapi import Depends, FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from deployments.http import openapi, problems
from deployments.http.access_middleware import AccessMiddleware
from deployments.http.admission_middleware import AdmissionMiddleware
from deployments.http.application import Application
from deployments.http.audit_middleware import AuditMiddleware
from deployments.http.query_parameters import check_query_parameters
from deployments.http.request_metrics import RequestMetricsMiddleware
from deployments.http.routes import (
    console,
    data,
    docs,
    experiments,
    exposures,
    models,
    operations,
    placements,
    recommendations,
)
from deployments.http.routes.hot import HotRoutes
from deployments.http.service import Service, current
from deployments.http.tracing_middleware import traced
from deployments.model_store import RegistryPlace, model_store
from deployments.ray_runtime import replica_setup
from deployments.stages.answering import QueryAnswerer
from deployments.stages.chain import Chain
from deployments.stages.fetching import UserFetcher
from deployments.stages.following import SnapshotFollower
from deployments.stages.near import Near, NearSettings
from deployments.stages.near_rule import NearRule
from deployments.stages.routing import QueryRouter
from deployments.stages.spans import traced_answerer, traced_fetcher
from deployments.telemetry import metrics
from deployments.telemetry.measured_store import measured
from deployments.telemetry.metric_snapshot import MetricsSnapshot
from deployments.telemetry.traffic_history import TrafficHistory, TrafficRecorder
from recommender.stores import open_store
from recommender.stores.audit_log import AuditEntry, open_audit_log

BEGIN_AGAIN_AFTER_S = 1.0

logger = logging.getLogger("recommender.ingress")


def build_application() -> ASGIApp:
    """The contract: its routes, and before them what every request passes.

    FastAPI is the innermost: what is around it in here is not inside FastAPI's own layers, which hot routes do without.
    """
    app: ASGIApp = AuditMiddleware(HotRoutes(build_api()), _record)
    return AdmissionMiddleware(RequestMetricsMiddleware(traced(AccessMiddleware(app))))


def build_api() -> FastAPI:
    """All routes of the contract, and no access control: that is `build_application`'s."""
    api = FastAPI(
        title="lightfm-serve",
        version=importlib.metadata.version("lightfm-serve"),
        # no parameter, because one that is not UTF-8 is answered by Serve itself, with 500, before it comes here
        description="A hybrid recommender that learns all the time. `X-Request-Id`, 1 to 128 visible ASCII characters, "
        "comes back with the answer and stands in the log lines about it; it is made up where it is missing.",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(check_query_parameters)],
    )
    problems.install(api)
    openapi.install(api)
    for chapter in (recommendations, data, models, placements, experiments, exposures, operations, console, docs):
        api.include_router(chapter.router)
    return api


async def _begin(follower: SnapshotFollower) -> None:
    """Begin to follow, as soon as the model store answers: without it requests go along the chain."""
    while not await _has_begun(follower):  # noqa: ASYNC110 (a model store that is away sends no event)
        await asyncio.sleep(BEGIN_AGAIN_AFTER_S)


async def _has_begun(follower: SnapshotFollower) -> bool:
    try:
        await follower.begin(with_log=False)
    except Exception as error:  # noqa: BLE001 (whatever it is, this replica serves without)
        logger.warning("no model in this process yet: %s", error)
        return False
    return True


async def _record(entry: AuditEntry) -> None:
    await current().record(entry)


@serve.deployment
@serve.ingress(Application(build_application))
class Ingress:
    """Deployment that serves HTTP.

    Parameters
    ----------
    fetcher, predictor, trainer
        The rest of the graph.
    models
        Where versions are.
    store_url
        Where the store is.
    max_backlog
        Interactions that its log takes.
    near
        Which requests are answered here, and how.
    sample
        Share of the users whose exposures are kept.
    """

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        fetcher: DeploymentHandle,
        predictor: DeploymentHandle,
        trainer: DeploymentHandle,
        models: RegistryPlace,
        store_url: str,
        max_backlog: int,
        near: NearSettings,
        sample: float = 1.0,
    ) -> None:
        replica_setup.begin()
        store: Any = measured(open_store(store_url, max_backlog=max_backlog))
        self._follower: SnapshotFollower | None = None
        self._answerer = traced_answerer(QueryAnswerer(store, near.feedback, near.catalogue_wait_s))
        here = None if near.mode == "never" else Near(traced_fetcher(UserFetcher(store)), self._answerer)
        router = QueryRouter(Chain(fetcher, predictor), here, NearRule(near.mode))
        self.service = Service(
            fetcher,
            predictor,
            trainer,
            model_store(models),
            store,
            open_audit_log(store_url),
            sample,
            router,
            near.feedback,
        )
        self.service.exposures.start()
        self._traffic = TrafficRecorder()
        self._recording = asyncio.create_task(self._traffic.keep())
        await self.service.prepare_store()
        if here is not None:
            self._follower = SnapshotFollower(models, store, self._answerer, near.explore, near.feedback)
            # beside what follows: until a model is here, requests go along the chain; leaderboards always do
            self._tasks = [asyncio.create_task(_begin(self._follower)), asyncio.create_task(router.keep_measured())]

    async def status(self) -> dict[str, Any]:
        """Who this is, what it serves near, and by which rule."""
        near = self._answerer.status() if self._follower else {}
        context = serve.get_replica_context()
        who = {"deployment": context.deployment, "replica": context.replica_tag, "pid": os.getpid()}
        return {**who, **near, "near": self.service.router.status()}

    def check_health(self) -> None:
        """Serve asks this; a follower that has ended makes a replica that never learns again."""
        if self._follower is not None:
            self._follower.check_health()
            for task in self._tasks:
                if task.done() and task.exception():
                    raise RuntimeError(f"a task ended: {task}") from task.exception()

    async def counted(self) -> MetricsSnapshot:
        """What this replica has counted."""
        return metrics.counted()

    async def traffic(self) -> TrafficHistory:
        """What this replica has answered in each minute of the last day."""
        return self._traffic.history()
