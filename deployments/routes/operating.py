"""Chapter 6 of the contract: operating."""

from fastapi import APIRouter, Response

from deployments.openapi import documented
from deployments.problems import unavailable
from deployments.routes.parameters import answer
from deployments.service import current

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
