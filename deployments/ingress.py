"""Ingress: the deployment that serves HTTP."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from fastapi import Depends, FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from deployments.http import openapi, problems
from deployments.http.access_middleware import AccessMiddleware
from deployments.http.admission_middleware import AdmissionMiddleware
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
from deployments.http.routes.fast_path import FastPathRoute
from deployments.http.service import Service, current
from deployments.model_store import model_store
from deployments.ray_runtime import replica_setup
from deployments.telemetry import metrics
from deployments.telemetry.measured_store import measured
from deployments.telemetry.metric_snapshot import MetricsSnapshot
from recommender.stores import open_store
from recommender.stores.audit_log import AuditEntry, open_audit_log


def build_api() -> FastAPI:
    """All routes of the contract."""
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
    api.router.routes.append(FastPathRoute())
    for chapter in (recommendations, data, models, placements, experiments, exposures, operations, console, docs):
        api.include_router(chapter.router)
    api.add_middleware(AuditMiddleware, record=_record)
    api.add_middleware(AccessMiddleware)
    api.add_middleware(RequestMetricsMiddleware)
    api.add_middleware(AdmissionMiddleware)  # the last one is the outermost
    return api


async def _record(entry: AuditEntry) -> None:
    await current().record(entry)


@serve.deployment
@serve.ingress(build_api())
class Ingress:
    """Deployment that serves HTTP.

    Parameters
    ----------
    fetcher, predictor, trainer
        The rest of the graph.
    models
        Folder of the registry.
    store_url
        Where the store is.
    max_backlog
        Interactions that its log takes.
    sample
        Share of the users whose exposures are kept.
    """

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        fetcher: DeploymentHandle,
        predictor: DeploymentHandle,
        trainer: DeploymentHandle,
        models: str,
        store_url: str,
        max_backlog: int,
        sample: float = 1.0,
    ) -> None:
        replica_setup.begin()
        store: Any = measured(open_store(store_url, max_backlog=max_backlog))
        audit = open_audit_log(store_url)
        self.service = Service(fetcher, predictor, trainer, model_store(models), store, audit, sample)
        self.service.exposures.start()
        await self.service.prepare_store()

    async def counted(self) -> MetricsSnapshot:
        """What this replica has counted."""
        return metrics.counted()
