"""Calls of deployment handles: retries, hedged requests, and the request ids that go with them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Any

from ray.exceptions import RayActorError
from ray.serve.handle import DeploymentHandle

from deployments.telemetry import logs

Call = Callable[..., Awaitable[Any]]
"""`call_idempotent` or `call_long`."""
PAUSES_S = (0.0, 0.05, 0.2, 0.5)
"""Before each further try."""
PATIENCE_S = 2.0
"""After which another replica is asked as well: a machine that has lost its network refuses nothing, it is silent."""
MAX_ATTEMPTS = 3
"""Asked at once: Serve may choose the silent one again."""


async def call_idempotent(method: DeploymentHandle, *arguments: Any) -> Any:
    """Hedged call: ask a replica, and another one when it dies under the call or is silent for long.

    Serve does not do this by itself: a call in flight on a replica that dies fails. When a node dies the next replica
    may have been on it too, so it is asked for a few times, while Serve learns which are left.
    """
    return await _until_answered(lambda: _first_answer(method, arguments))


async def call_long(method: DeploymentHandle, *arguments: Any) -> Any:
    """The same for a method that may take long: it is asked again when its replica dies, and waited for when silent.

    Asking a second replica for what is merely long would do the work twice, and help nobody.
    """
    return await _until_answered(lambda: method.remote(logs.request_ids(), *arguments))


async def _until_answered(ask: Callable[[], Awaitable[Any]]) -> Any:
    for pause_s in PAUSES_S:
        try:
            return await ask()
        except RayActorError:
            await asyncio.sleep(pause_s)
    return await ask()


async def _first_answer(method: DeploymentHandle, arguments: Sequence[Any]) -> Any:
    asked: list[asyncio.Future[Any]] = []
    try:
        while True:
            asked.append(asyncio.ensure_future(method.remote(logs.request_ids(), *arguments)))
            patience_s = PATIENCE_S if len(asked) < MAX_ATTEMPTS else None
            done, _ = await asyncio.wait(asked, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return done.pop().result()
    finally:
        for each in asked:
            each.cancel()


def with_request_ids(method: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """Make a method take the ids of the requests it is called for first, and its log lines name them."""

    @wraps(method)
    async def answered(self: Any, request_ids: Sequence[str], *arguments: Any) -> Any:
        logs.about(request_ids)
        return await method(self, *arguments)

    return answered
