"""OpenAPI document: the schemas of what msgspec decodes and encodes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

REFERENCE = "#/components/schemas/{name}"

ALWAYS = (400, 401, 403, 422, 429, 503)
"""Statuses that any route may answer."""

_TAG = {"description": "Of this answer, to be sent as `If-None-Match`.", "schema": {"type": "string"}}

_types: list[Any] = []


class Fault(msgspec.Struct):
    """One thing that is wrong."""

    loc: str
    msg: str


class ProblemDetails(msgspec.Struct, rename={"kind": "type"}):
    """RFC 9457."""

    kind: str
    title: str
    status: int
    detail: str
    errors: list[Fault] = []


def documented(
    result: Any, *failures: int, status: int = 200, body: Any = None, creates: bool = False, shared: bool = False
) -> dict[str, Any]:
    """Arguments of a route that describe its body and its answers.

    Parameters
    ----------
    result
        Type of the answer's body, None for an empty one.
    *failures
        Statuses of problems beside those that any route may answer.
    status
        Of success.
    body
        Type of the request's body.
    creates
        Whether success may also be 201.
    shared
        Whether the answer has an entity tag.
    """
    status = 204 if result is None else status
    statuses = [*failures, *ALWAYS, *((408, 413, 415) if body else ())]
    problem = {"application/problem+json": {"schema": _schema(ProblemDetails)}}
    responses: dict[int, Any] = {
        each: {"description": HTTPStatus(each).phrase, "content": problem} for each in sorted(set(statuses))
    }
    # a head of more than 16 KiB does not come further than the proxy, which answers in words of its own
    responses[400] = {**responses[400], "content": {**problem, "text/html": {"schema": {"type": "string"}}}}
    if result is None:
        responses[status] = {"description": "Done"}
    else:
        content = {"application/json": {"schema": _schema(result)}}
        responses[status] = {"description": HTTPStatus(status).phrase, "content": content}
        if creates:
            responses[201] = {"description": "Created", "content": content}
        if shared:
            responses[status]["headers"] = {"ETag": _TAG}
            responses[304] = {"description": "Not modified: `If-None-Match` names it", "headers": {"ETag": _TAG}}
    extra = {"requestBody": {"required": True, "content": {"application/json": {"schema": _schema(body)}}}}
    return {
        "status_code": status,
        "responses": responses,
        "openapi_extra": extra if body else {},
        "response_model": None,
    }


def install(app: FastAPI) -> None:
    """Give `app` an OpenAPI page with the schemas that its routes were documented with."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            _, components = msgspec.json.schema_components(_types, ref_template=REFERENCE)
            known = schema.setdefault("components", {}).setdefault("schemas", {})
            known.update(components)
            for unused in ("HTTPValidationError", "ValidationError"):
                known.pop(unused, None)
            # the order in which modules were imported is nobody's business
            schema["components"]["schemas"] = dict(sorted(known.items()))
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _schema(described: Any) -> dict[str, Any]:
    _types.append(described)
    (schema,), _ = msgspec.json.schema_components([described], ref_template=REFERENCE)
    return schema
