"""Routes of the console: the page at ``/`` and its files; its data come through the API."""

from functools import cache
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from fastapi import APIRouter, Request, Response

from deployments.http.routes.parameters import not_found

router = APIRouter(include_in_schema=False)

PAGE = "index.html"
MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
POLICY = (
    # nothing from elsewhere, nothing inline, and no way to make markup of text
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # asked for again each time, and answered 304 until the next release
}


class File(NamedTuple):
    """A file as it goes out."""

    body: bytes
    media_type: str
    etag: str


@cache
def _files() -> dict[str, File]:
    """All files of the console by name: what is not here cannot be asked for."""
    return files_of(files("deployments").joinpath("console"))


def files_of(folder: Traversable) -> dict[str, File]:
    """Files of a folder that a browser is to have, by name."""
    found = {}
    for each in folder.iterdir():
        media_type = MEDIA_TYPES.get(each.name.rpartition(".")[2])
        if media_type:
            body = each.read_bytes()
            found[each.name] = File(body, media_type, f'"{blake2b(body, digest_size=8).hexdigest()}"')
    return found


@router.get("/")
async def page(request: Request) -> Response:
    """The page."""
    return _answer(request, PAGE)


@router.get("/console/{name}")
async def file(name: str, request: Request) -> Response:
    """One of its files."""
    return _answer(request, name)


def _answer(request: Request, name: str) -> Response:
    asked = _files().get(name)
    if asked is None:
        raise not_found("file of the console")
    return sent(request, asked, POLICY)


def sent(request: Request, asked: File, policy: str) -> Response:
    """A file under a content security policy, or 304 where the browser has it."""
    headers = {**HEADERS, "Content-Security-Policy": policy, "ETag": asked.etag}
    if request.headers.get("if-none-match") == asked.etag:
        return Response(status_code=304, headers=headers)
    return Response(asked.body, headers=headers, media_type=asked.media_type)
