"""Owner of the embedded store: the actor that starts, watches and stops the Valkey server."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import ray

from deployments.args import StoreArgs
from deployments.telemetry import logs
from recommender.storage.object_store import is_url
from recommender.stores import EmbeddedValkey

EMBEDDED = "embedded"
NAMESPACE = "recommender"
LOOK_EVERY_S = 0.2


class EmbeddedStoreActor:
    """Actor that starts the server, restarts it when it dies, and ends it with its own process."""

    def __init__(self, folder: str, max_memory_bytes: int | None, start_timeout_s: float) -> None:
        logs.configure()
        self._valkey = EmbeddedValkey(Path(folder), max_memory_bytes=max_memory_bytes, start_timeout_s=start_timeout_s)
        self._valkey.start()
        self._task = asyncio.get_event_loop().create_task(self._keep())

    async def url(self) -> str:
        """Where the store is; it stays there across restarts."""
        return self._valkey.url

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await asyncio.to_thread(self._valkey.ensure_running)


def check_embedded(redis_url: str, state_dir: str) -> None:
    """Refuse an embedded store where it cannot work.

    Raises
    ------
    RuntimeError
        The cluster has several nodes: others could not reach a unix socket of this one. Or the state is in a bucket,
        where no server can keep its data.
    """
    if redis_url != EMBEDDED:
        return
    remedy = "Set redis_url (or RECOMMENDER_REDIS_URL) to a Redis or Valkey that all nodes reach"
    if is_url(state_dir):
        raise RuntimeError(f"redis_url: embedded keeps its data in a folder, and state_dir is {state_dir}. {remedy}")
    if len([node for node in ray.nodes() if node["Alive"]]) > 1:
        raise RuntimeError(f"redis_url: embedded works on one node only; this Ray cluster has several. {remedy}")


def embedded_store_url(folder: Path, store: StoreArgs) -> str:
    """URL of the one embedded store of a folder, started if need be."""
    options: dict[str, Any] = {
        "name": f"store-keeper-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}",
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "get_if_exists": True,
        "max_restarts": -1,
        "max_task_retries": -1,
        "num_cpus": 0,
    }
    limits = store.max_memory_bytes, store.start_timeout_s
    keeper = ray.remote(EmbeddedStoreActor).options(**options).remote(str(folder), *limits)
    return str(ray.get(keeper.url.remote()))
