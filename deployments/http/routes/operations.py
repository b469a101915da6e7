"""Routes of health, status and metrics (chapter 6 of the contract)."""

from fastapi import APIRouter, Response

from deployments.forgetting import ForgettingReport
from deployments.http.openapi import documented
from deployments.http.problems import unavailable
from deployments.http.routes.parameters import Audited, Limit, UserId, answer, not_found, raw_answer
from deployments.http.service import current
from deployments.telemetry.exposition import CONTENT_TYPE, exposition
from deployments.telemetry.metric_snapshot import MetricsSnapshot
from deployments.telemetry.traffic_history import TrafficHistory
from recommender.storage.audit_trail import AuditPage

router = APIRouter(tags=["operating"])


@router.get("/healthz", **documented(dict[str, str]))
async def healthy() -> Response:
    """The process is up."""
    return answer({"status": "ok"})


@router.get("/readyz", **documented(dict[str, str], 503))
async def ready() -> Response:
    """A model serves."""
    if not await current().is_ready():
        raise unavailable("no model serves yet; the first one is being trained")
    return answer({"status": "ready"})


@router.get("/v1/metrics", **documented(MetricsSnapshot, 503))
async def counted() -> Response:
    """Counters and histograms as JSON, added up over the replicas of Ingress, FeatureFetcher and Predictor.

    They are those of Prometheus, without its `ray_`. Each replica counts since it began, so that a number falls when
    one restarts; `replicas` says whose numbers these are, and one that did not answer in time is not among them.
    """
    return answer(await current().counted())


@router.get("/v1/metrics/history", **documented(TrafficHistory, 503))
async def history() -> Response:
    """Requests by minute over the last day, added up over the replicas of Ingress, for a look back without Prometheus.

    Each replica keeps those of its own in memory: what one that restarts had kept is not in it any more. Probes, and
    what the console asks for itself, are left out.
    """
    return answer(await current().traffic())


_EXPOSED = documented(str, 503)
_EXPOSED["responses"][200]["content"] = {"text/plain": {"schema": {"type": "string"}}}


@router.get("/metrics", **_EXPOSED)
async def exposed() -> Response:
    """Numbers for Prometheus, in its text format, by their own names, each replica's by themselves.

    Ray exports the same at an address of each node, with `ray_` before the names.
    """
    return Response(exposition(await current().counted_by_replica()), media_type=CONTENT_TYPE)


@router.get("/v1/audit", **documented(AuditPage, 503))
async def audit(cursor: Audited = None, limit: Limit = 100) -> Response:
    """Who did what and when, newest first: trainings by hand, activations, placements, experiments, deletions.

    `who` is the name of the key: that of `admin:NAME=KEY`, else its scope and the first letters of its SHA-256, or
    `local` where the service has no keys. Entries are kept for 400 days.
    """
    return raw_answer(await current().audit_page(cursor, limit))


@router.post("/v1/users/{user_id}/forget", **documented(ForgettingReport, 503, status=202))
async def forget(user_id: UserId, verify: bool = True) -> Response:
    """Forget a user everywhere: store, log, archive, audit, every kept version, and what serves.

    Goes on behind the answer; ask with GET how far it has come. `verify` reads everything afterwards and says where.
    """
    return raw_answer(await current().forget(user_id, verify), 202)


@router.get("/v1/users/{user_id}/forget", **documented(ForgettingReport, 404, 503))
async def forgetting(user_id: UserId) -> Response:
    """How far the forgetting of a user has come, since the trainer began."""
    report = await current().forgetting(user_id)
    if report is None:
        raise not_found("forgetting")
    return raw_answer(report)
