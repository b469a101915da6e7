"""Conditional requests (RFC 9110 §13): an entity tag for what is the same for everybody, and 304 for who has it."""

from __future__ import annotations

from hashlib import blake2b

from starlette.requests import Request
from starlette.responses import Response

JSON = "application/json"
TAG_BYTES = 12


def shared_answer(request: Request, body: bytes) -> Response:
    """JSON with its entity tag, or 304 and nothing where ``If-None-Match`` names it.

    A browser or a CDN may keep it and has to ask each time (``no-cache``): what changes shows in the very next answer.
    """
    tag = f'"{blake2b(body, digest_size=TAG_BYTES).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if _names(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=JSON, headers=headers)


def _names(if_none_match: str, tag: str) -> bool:
    """Whether a header names a tag; a proxy may have made a weak one of it."""
    given = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return "*" in given or tag in given
