"""Audit middleware: writes down who trained, activated, configured or deleted what, before the answer goes out."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.http.access_middleware import CALLER
from deployments.http.security import NOBODY, Caller
from deployments.telemetry import logs
from recommender.errors import RecommenderError
from recommender.storage.audit_trail import digest_of
from recommender.stores.audit_log import AuditEntry

logger = logging.getLogger("recommender.audit")

ACTIONS: Mapping[tuple[str, str], str] = {
    ("POST", "/v1/models"): "model.train",
    ("PUT", "/v1/models/active"): "model.activate",
    ("DELETE", "/v1/users/{user_id}"): "user.delete",
    ("POST", "/v1/users/{user_id}/forget"): "user.forget",
    ("DELETE", "/v1/items/{item_id}"): "item.delete",
    ("PUT", "/v1/placements/{name}"): "placement.put",
    ("DELETE", "/v1/placements/{name}"): "placement.delete",
    ("PUT", "/v1/experiments/{name}"): "experiment.put",
    ("DELETE", "/v1/experiments/{name}"): "experiment.delete",
    ("POST", "/v1/experiments/{name}/end"): "experiment.end",
}
"""What is written down, by method and route."""
ADMINISTERED = ("/v1/placements/", "/v1/experiments/")
"""Of these everything that changes something is, also on a route that has no name above."""
READS = ("/preview",)
"""Ends of those of them that change nothing."""
ADMINISTRATION = ("/v1/models", *ADMINISTERED)
MOST_DETAILS_BYTES = 4_096
MOST_UNWRITTEN = 1_000
"""Entries that wait for a store that is away; each is in the log too."""

Record = Callable[[AuditEntry], Awaitable[Any]]


class AuditMiddleware:
    """Middleware that lets an action's answer out once its entry is in the store.

    Where the store does not take it, the answer goes out all the same: an operator must be able to roll a model back
    while the store is down. The entry then is in the log of the process, and is written with the next one.

    Parameters
    ----------
    app
        What comes behind.
    record
        Writes an entry.
    """

    def __init__(self, app: ASGIApp, record: Record) -> None:
        self._app = app
        self._record = record
        self._unwritten: deque[AuditEntry] = deque(maxlen=MOST_UNWRITTEN)
        self._writing = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or not _may_be_written(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        body = bytearray()

        async def overheard() -> Message:
            message = await receive()
            if len(body) <= MOST_DETAILS_BYTES:
                body.extend(message.get("body", b""))
            return message

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                entry = entry_of(scope, bytes(body))
                if entry is not None:
                    await self._write(entry)
            await send(message)

        await self._app(scope, overheard, watched)

    async def _write(self, entry: AuditEntry) -> None:
        self._unwritten.append(entry)
        try:
            async with self._writing:  # of two at once each would take out what the other has written
                while self._unwritten:
                    first = self._unwritten[0]
                    await self._record(first)
                    if self._unwritten[0] is first:  # else it was dropped meanwhile, for want of room
                        self._unwritten.popleft()
        except (RecommenderError, OSError) as error:
            logger.warning("the store does not take what was done (%s): %s", error, msgspec.json.encode(entry).decode())


def _may_be_written(method: str, path: str) -> bool:
    """Whether a request may have an entry; the others are not even looked at."""
    if method in ("GET", "HEAD", "OPTIONS") or path.endswith("/preview"):  # which changes nothing
        return False
    return method == "DELETE" or path.startswith(ADMINISTRATION) or path.endswith("/forget")


def entry_of(scope: Scope, body: bytes) -> AuditEntry | None:
    """What a request did that was answered well; None for what is not written down."""
    route = str(getattr(scope.get("route"), "path", scope["path"]))
    action = _action(scope["method"], route)
    if action is None:
        return None
    caller: Caller = scope.get(CALLER, NOBODY)
    request_id = next(iter(logs.named_requests()), None)
    return AuditEntry(caller.name, action, _target(action, scope), _details(body), request_id)


def _target(action: str, scope: Scope) -> str | None:
    given = next(iter(scope.get("path_params", {}).values()), None)
    target = None if given is None else unquote(str(given))
    # the trail must not bring back the id that it was just asked to forget
    return digest_of(target) if target is not None and action == "user.forget" else target


def _action(method: str, route: str) -> str | None:
    if (method, route) in ACTIONS:
        return ACTIONS[method, route]
    return f"{method} {route}" if route.startswith(ADMINISTERED) and not route.endswith(READS) else None


def _details(body: bytes) -> dict[str, Any]:
    """What a body says; nothing of one that is long or no object."""
    if not body or len(body) > MOST_DETAILS_BYTES:
        return {}
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}
