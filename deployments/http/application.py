"""ASGI application that Serve is given: the routes, and no list of them.

Serve looks through the routes of an application that has a list for each request, to label its own metrics, which costs
more than to answer the request. Ours are by route.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class Application:
    """ASGI application whose routes are its own affair.

    Parameters
    ----------
    app
        What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        await self._app(scope, receive, send)
