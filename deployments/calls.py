"""Calls between deployments; the ids of the requests that they are made for go with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Any

from ray.exceptions import RayActorError
from ray.serve.handle import DeploymentHandle

from deployments import logs


async def call_idempotent(method: DeploymentHandle, *arguments: Any) -> Any:
    """Call a replica's `answering` method; once more, on another one, when it dies under the call.

    Serve does not do this by itself: a call in flight on a replica that dies fails.
    """
    try:
        return await method.remote(logs.request_ids(), *arguments)
    except RayActorError:
        return await method.remote(logs.request_ids(), *arguments)


def answering(method: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """Make a method take the ids of the requests it is called for first, and its log lines name them."""

    @wraps(method)
    async def answered(self: Any, request_ids: Sequence[str], *arguments: Any) -> Any:
        logs.about(request_ids)
        return await method(self, *arguments)

    return answered
