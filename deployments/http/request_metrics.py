"""Request metrics middleware: counts and times every request, and gives it the id that its log lines carry."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.http.problems import Problem
from deployments.http.security import header
from deployments.telemetry import logs, metrics

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
CLIENT_HAS_GONE = 499
"""Status of a request whose client did not wait for the answer; nginx's number, which never goes out."""
_KEY = "recommender.observed"


class RequestMetricsMiddleware:
    """Outermost middleware: counts and times every request, refused ones too.

    Parameters
    ----------
    app
        What comes behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 500
        seen: dict[str, Any] = {}

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            given = header(scope["headers"], b"x-request-id")
            if given is not None and not REQUEST_ID.fullmatch(given):
                logs.about([])
                refusal = Problem(400, "X-Request-Id is 1 to 128 visible ASCII characters")
                await refusal.response()(scope, receive, watched)
            else:
                logs.about([given or secrets.token_hex(16)])
                await self._app({**scope, _KEY: seen}, receive, watched)
        except asyncio.CancelledError:
            status = CLIENT_HAS_GONE
            raise
        finally:
            routed_to = seen.pop("scope", {})  # it holds `seen`: a cycle, which only garbage collection would free
            _tell(routed_to, method_of(scope), status, time.perf_counter() - begin)


def routed(scope: Scope) -> None:
    """Note the scope that is routed: it is where the route will be found."""
    if _KEY in scope:
        scope[_KEY]["scope"] = scope


def route_of(scope: Scope) -> str:
    """Template of the route that a request has been routed to; ``none`` where there is none, or not yet."""
    return _path_of(scope.get(_KEY, {}).get("scope", {}))


def method_of(scope: Scope) -> str:
    """Method of a request; any word may be sent as one, a label must not take any value."""
    method: str = scope["method"]
    return method if method in ("GET", "POST", "PUT", "DELETE", "HEAD") else "other"


def _path_of(routed: Scope) -> str:
    return getattr(routed.get("route"), "path", "none")


def _tell(routed: Scope, method: str, status: int, seconds: float) -> None:
    route = _path_of(routed)
    metrics.count(metrics.REQUESTS, route=route, method=method, status=str(status))
    metrics.observe(metrics.REQUEST_SECONDS, seconds, route=route, method=method)
