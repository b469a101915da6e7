"""Admission control: limits the requests that an ingress replica takes on at once; it refuses others unread.

`deployments/ray_runtime/haproxy.py` refuses first, and for less; this is for a service without it, or with one on
every node.
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.ray_runtime.haproxy import AT_ONCE, NEVER_REFUSED, RETRY_AFTER_S, TOO_MANY, problem
from deployments.telemetry import metrics

MOST = 2 * AT_ONCE
"""Twice what HAProxy lets through for a replica, so that one that dies leaves its share to the other."""
REFUSED = HTTPStatus.SERVICE_UNAVAILABLE
_BODY = problem(REFUSED, TOO_MANY)
_START: Message = {
    "type": "http.response.start",
    "status": int(REFUSED),
    "headers": [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(_BODY)),
        (b"retry-after", b"%d" % RETRY_AFTER_S),
    ],
}


class AdmissionMiddleware:
    """Middleware that answers 503 to requests beyond `most` under way.

    A count, not a rate or a time: how fast it goes round is what the service can do, on any machine and with any
    model, and what is under way is answered within `most` of the service's own strides.

    Parameters
    ----------
    app
        What comes behind.
    most
        Requests under way at most.
    """

    def __init__(self, app: ASGIApp, most: int = MOST) -> None:
        self._app, self._most = app, most
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"] in NEVER_REFUSED:
            await self._app(scope, receive, send)
        elif self._under_way >= self._most:
            metrics.count(metrics.REQUESTS, route="none", method="other", status=str(int(REFUSED)))
            await send(_START)
            await send({"type": "http.response.body", "body": _BODY})
        else:
            self._under_way += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._under_way -= 1
