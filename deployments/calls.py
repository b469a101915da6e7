"""Calls between deployments."""

from __future__ import annotations

from typing import Any

from ray.exceptions import RayActorError
from ray.serve.handle import DeploymentHandle


async def call_idempotent(method: DeploymentHandle, *arguments: Any) -> Any:
    """Call a replica; once more, on another one, when it dies under the call.

    Serve does not do this by itself: a call in flight on a replica that dies fails.
    """
    try:
        return await method.remote(*arguments)
    except RayActorError:
        return await method.remote(*arguments)
