"""Problem documents: every error of every route as RFC 9457 problem+json, without input or stack trace."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recommender.errors import (
    ArtifactError,
    ConflictingSettingsError,
    InvalidRequestError,
    NotFittedError,
    StateUnavailableError,
    StoreError,
    StoreFullError,
    UnknownVersionError,
)

logger = logging.getLogger("recommender.ingress")

RETRY_AFTER_S = 1


class Problem(Exception):  # noqa: N818 (the word of RFC 9457)
    """Exception that becomes a problem document.

    Parameters
    ----------
    status
        HTTP status.
    detail
        What was wrong and what to do.
    errors
        Where, one a fault: ``{"loc": …, "msg": …}``.
    headers
        Of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """What goes out on the wire."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = list(self.errors)
        return Response(msgspec.json.encode(body), self.status, self.headers, "application/problem+json")


def unavailable(detail: str) -> Problem:
    """503 with when to come back."""
    return Problem(503, detail, headers={"Retry-After": str(RETRY_AFTER_S)})


def invalid(detail: str, loc: str) -> Problem:
    """422 for one fault."""
    return Problem(422, detail, [{"loc": loc, "msg": detail}])


def problem_of(error: Exception) -> Problem:
    """The problem that an error of ours, of Ray's or of the framework's is to a client."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(cause, Problem):
        return cause
    if isinstance(cause, RequestValidationError):
        faults = [{"loc": ".".join(map(str, each["loc"])), "msg": each["msg"]} for each in cause.errors()]
        return Problem(422, "; ".join(f"{each['loc']}: {each['msg']}" for each in faults), faults)
    if isinstance(cause, HTTPException):
        return Problem(cause.status_code, str(cause.detail), headers=cause.headers)
    if isinstance(cause, InvalidRequestError):
        return Problem(422, str(cause), [{"loc": "request", "msg": str(cause)}])
    for kinds, status in _STATUS:
        if isinstance(cause, kinds):
            return unavailable(str(cause)) if status == 503 else Problem(status, str(cause))
    logger.error("unexpected error", exc_info=error)
    return Problem(500, "something went wrong here; it has been logged")


class ProblemMiddleware:
    """Middleware that answers uncaught errors; one that is raised behind the head of an answer is raised on.

    Parameters
    ----------
    app
        What comes behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if started:
                raise
            await problem_of(error).response()(scope, receive, send)


def _methods(app: FastAPI, scope: Scope) -> list[str]:
    """What a path can be asked; the framework names the methods of one route only."""
    tried = {method: {**scope, "method": method} for method in ("DELETE", "GET", "PATCH", "POST", "PUT")}
    found = [name for name, each in tried.items() if any(r.matches(each)[0] is Match.FULL for r in app.routes)]
    return [*found, "OPTIONS", *(["HEAD"] if "GET" in found else [])]


_STATUS: Sequence[tuple[tuple[type[Exception], ...], int]] = (
    ((UnknownVersionError,), 404),
    ((StateUnavailableError,), 503),
    ((ArtifactError, ConflictingSettingsError), 409),
    ((StoreFullError, StoreError, NotFittedError), 503),
    ((BackPressureError, RayActorError), 503),
)


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem; none leaves it."""
    app.add_middleware(ProblemMiddleware)

    async def answer(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.status == 405:
            problem.headers["Allow"] = ", ".join(_methods(app, request.scope))
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=problem.headers)
        return problem.response()

    for kind in (Problem, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)
