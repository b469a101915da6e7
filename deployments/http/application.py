"""ASGI application that Serve is given: made in the replica, with its first request, and without a list of routes.

Serve looks through the routes of an application that has a list for each request, to label its own metrics, which costs
more than to answer the request. Ours are by route.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send


class Application:
    """ASGI application that is made where it is first asked.

    Parameters
    ----------
    make
        Makes what answers.
    """

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = make
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if self._app is None:
            self._app = self._make()
        await self._app(scope, receive, send)
