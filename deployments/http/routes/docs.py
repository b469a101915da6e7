"""Routes of the API documentation: Swagger UI, with all of its files served from here."""

from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from deployments.http.routes.console import PAGE, File, files_of, sent
from deployments.http.routes.parameters import not_found

router = APIRouter(include_in_schema=False)

SWAGGER = ("swagger-ui-bundle.js", "swagger-ui.css")
"""Of the package fastapi-offline, which is there to carry them."""
POLICY = (
    # it writes styles into the page, and draws its arrows from data
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@cache
def _files() -> dict[str, File]:
    bundled = files_of(files("fastapi_offline").joinpath("static"))
    return {name: bundled[name] for name in SWAGGER} | files_of(files("deployments").joinpath("docs"))


@router.get("/docs")
async def page(request: Request) -> Response:
    """The page."""
    return sent(request, _files()[PAGE], POLICY)


@router.get("/docs/{name}")
async def file(name: str, request: Request) -> Response:
    """One of its files."""
    asked = _files().get(name)
    if asked is None:
        raise not_found("file of the description")
    return sent(request, asked, POLICY)
