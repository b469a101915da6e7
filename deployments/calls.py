"""Calls between deployments; the ids of the requests that they are made for go with them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Any

from ray.exceptions import RayActorError
from ray.serve.handle import DeploymentHandle

from deployments import logs

PAUSES_S = (0.0, 0.05, 0.2, 0.5)
"""Before each further try."""


async def call_idempotent(method: DeploymentHandle, *arguments: Any) -> Any:
    """Call a replica's `answering` method; again, on another one, when it dies under the call.

    Serve does not do this by itself: a call in flight on a replica that dies fails. When a node dies the next replica
    may have been on it too, so it is asked for a few times, while Serve learns which are left.
    """
    for pause_s in PAUSES_S:
        try:
            return await method.remote(logs.request_ids(), *arguments)
        except RayActorError:
            await asyncio.sleep(pause_s)
    return await method.remote(logs.request_ids(), *arguments)


def answering(method: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """Make a method take the ids of the requests it is called for first, and its log lines name them."""

    @wraps(method)
    async def answered(self: Any, request_ids: Sequence[str], *arguments: Any) -> Any:
        logs.about(request_ids)
        return await method(self, *arguments)

    return answered
