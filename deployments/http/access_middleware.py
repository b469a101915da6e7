"""Access middleware: authenticates the caller, limits its rate, and turns uncaught errors into problem documents."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.http import origins, security
from deployments.http.exposure import is_open_to_others
from deployments.http.key_rotation import RotatingKeys
from deployments.http.problems import ProblemMiddleware
from deployments.http.rate_limit import RateLimiter
from deployments.http.request_metrics import routed

CALLER = "recommender.caller"
"""Key of a scope: who the request is from."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class AccessMiddleware:
    """Middleware of authentication and rate limit; routes by the raw path, and answers uncaught errors.

    Parameters
    ----------
    app
        What comes behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._behind = ProblemMiddleware(self._admit)
        self._keys = RotatingKeys()
        self._rates = RateLimiter.from_environment()
        self._is_open: bool | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _undecoded(scope)
        if scope["method"] == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        routed(scope)

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
            await send(message)

        await self._behind(scope, receive, watched)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[CALLER] = self._check(scope)
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> security.Caller:
        """Let a request pass and say who it is from, or answer 401, 403 or 429."""
        keys = self._keys.current()
        method, path, client = scope["method"], scope["path"], self._client(scope, keys)
        authorization = security.header(scope["headers"], b"authorization")
        caller = security.check(keys, method, path, authorization, client)
        if security.needed_scope(method, path) is None:
            return caller
        if keys:
            # a key that is not valid did not come this far
            self._rates.take(security.key_in(authorization) or b"")
        else:
            origins.check(method, security.first_of_each(scope["headers"]))
            self._rates.take((client or "").encode())
        return caller

    def _client(self, scope: Scope, keys: security.Keys) -> str | None:
        """Address of a client, as far as it can be trusted to be theirs."""
        if self._is_open is None:
            self._is_open = not keys and is_open_to_others()
        if self._is_open:
            return "behind a proxy that is open to others"
        return scope["client"][0] if scope.get("client") else None


def _without_body(send: Send) -> Send:
    """What sends the head of an answer only, its length included."""

    async def sent(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return sent


def _undecoded(scope: Scope) -> Scope:
    """Scope whose path still has its %2F: a slash inside an id is not a separator."""
    raw = scope.get("raw_path")
    if not raw:
        return scope
    return {**scope, "path": raw.partition(b"?")[0].decode("latin-1"), "root_path": ""}
