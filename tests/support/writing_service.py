"""The routes that write, on a real port and over a real store, in a process of their own without Ray.

Run as ``python -m tests.support.writing_service STORE_URL PORT``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import uvicorn

from tests.support.store_servers import free_port, opened, run

ROOT = Path(__file__).parents[2]
KEY = "the-key"


class WritingService:
    """A service that takes interactions, users and items, and how to end it.

    Parameters
    ----------
    store_url
        Of a server that somebody else has started.
    """

    def __init__(self, store_url: str) -> None:
        self.store_url = store_url
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", __name__, self.store_url, str(self.port)]
        environment = {**os.environ, "RECOMMENDER_API_KEYS": f"write:{KEY}"}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment)
        until = time.monotonic() + 120
        while time.monotonic() < until:
            assert self.process.poll() is None
            try:
                if httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError("the service did not start")

    def stop(self, with_signal: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(with_signal)
            self.process.wait(60)
            self.process = None

    def log(self) -> list[Any]:
        """Interactions that are in the log, in order."""
        return [entry.event for entry in run(_read(self.store_url))]

    def item(self, item_id: str) -> Any:
        """An item as stored."""
        return run(_item(self.store_url, item_id))


async def _item(url: str, item_id: str) -> Any:
    async with opened(url) as store:
        return (await store.get_items([item_id]))[0]


async def _read(url: str) -> list[Any]:
    async with opened(url) as store:
        return await store.read(0, 100_000)


def _serve(store_url: str, port: int) -> None:
    from ray import serve

    from deployments.http.service import Service
    from deployments.ingress import build_application
    from deployments.telemetry import metrics
    from recommender.stores import open_store

    metrics.count = metrics.show = metrics.observe = lambda *_, **__: None
    service = Service(None, None, None, None, open_store(store_url))
    context = SimpleNamespace(servable_object=SimpleNamespace(service=service))
    serve.get_replica_context = lambda: context
    uvicorn.run(build_application(), host="127.0.0.1", port=port, log_level="warning", lifespan="off")


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
