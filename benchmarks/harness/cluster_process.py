"""Clusters to measure: a `ray start` for each node, all of them on this machine, and `make deploy` onto them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import yaml

from benchmarks.harness import process_tree
from benchmarks.harness.service_process import BIN, ROOT, SETTLING_S
from deployments.ray_runtime import environment
from recommender.stores.server_binary import server_binary

SPARE_BYTES = 200 << 20
"""Of each object store, for what Ray and Serve put there."""


def free_port() -> int:
    """Port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """Some nodes and the service on them, with a store that all reach.

    Parameters
    ----------
    folder
        For its state, configuration and log.
    nodes
        How many.
    store_bytes
        What the object store of each shall hold of ours.
    args
        Over those of serve_config.yaml.
    parts
        By deployment, over what serve_config.yaml says of it.
    """

    def __init__(
        self, folder: Path, nodes: int, store_bytes: int, args: dict[str, Any], parts: dict[str, dict[str, Any]]
    ) -> None:
        self.port = free_port()
        self._redis, self._gcs, self._dashboard = free_port(), free_port(), free_port()
        self._folder, self._nodes, self._store_bytes = folder, nodes, store_bytes
        self._token = secrets.token_hex(16)
        content = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
        content["http_options"]["port"] = self.port
        (application,) = content["applications"]
        url = f"redis://127.0.0.1:{self._redis}/0"
        application["args"] |= {"state_dir": str(folder / "state"), "redis_url": url, **args}
        for deployment in application["deployments"]:
            deployment.update(parts.get(deployment["name"], {}))
        self._config = folder / "config.yaml"
        self._config.write_text(yaml.safe_dump(content))
        self._log = folder / "ray.log"
        self._temporary = tempfile.mkdtemp(prefix="bc")  # paths of sockets in there must stay short
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Cluster:
        try:
            self._start([str(server_binary()), "--port", str(self._redis), "--bind", "127.0.0.1",
                         "--dir", str(self._folder), "--save", ""])  # fmt: skip
            self._ray("--head", f"--port={self._gcs}", f"--dashboard-port={self._dashboard}",
                      "--dashboard-host=127.0.0.1", f"--ray-client-server-port={free_port()}",
                      f"--temp-dir={self._temporary}")  # fmt: skip
            wait_until(lambda: len(self._alive()) == 1)
            for number in range(2, self._nodes + 1):
                self._ray(f"--address=127.0.0.1:{self._gcs}")
                wait_until(lambda number=number: len(self._alive()) == number)
            command = [sys.executable, "-m", "lightfm_serve.cli", "cluster", "deploy", str(self._config)]
            command += ["--address", f"http://127.0.0.1:{self._dashboard}"]
            subprocess.run(command, cwd=ROOT, env=self._environment(), check=True)
            time.sleep(SETTLING_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._started):
            for pid in [*process_tree.pids(process.pid), process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def client(self) -> httpx.Client:
        """For requests to the service."""
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def replicas(self, deployment: str) -> list[list[int]]:
        """Process ids of a deployment's replicas, by node."""
        title = f"ServeReplica:recommender:{deployment}".encode()
        return [process_tree.called(title, node.pid) for node in self._started[1:]]

    def object_store_bytes(self) -> list[int]:
        """What is used of the object store of each node, as Ray counts it."""
        answer = self._ask("/nodes?view=summary").json()
        return [
            each["raylet"]["objectStoreUsedMemory"]
            for each in answer["data"]["summary"]
            if each["raylet"]["state"] == "ALIVE"
        ]

    def _alive(self) -> list[str]:
        with contextlib.suppress(httpx.TransportError):
            answer = self._ask("/api/v0/nodes")
            if answer.status_code == 200:
                listed = answer.json()["data"]["result"]["result"]
                return [each["node_id"] for each in listed if each["state"] == "ALIVE"]
        return []

    def _ask(self, path: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._token}"}
        return httpx.get(f"http://127.0.0.1:{self._dashboard}{path}", headers=headers, timeout=30)

    def _ray(self, *options: str) -> None:
        store = f"--object-store-memory={self._store_bytes + SPARE_BYTES}"
        command = [str(BIN / "ray"), "start", "--block", "--disable-usage-stats", "--num-cpus=2", store]
        command += ["--min-worker-port=0", "--max-worker-port=0", f"--dashboard-agent-listen-port={free_port()}"]
        self._start([*command, *options])

    def _start(self, command: list[str]) -> None:
        with self._log.open("a") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=self._environment(), stdout=log, stderr=log)
        self._started.append(process)

    def _environment(self) -> dict[str, str]:
        if not hasattr(self, "_variables"):
            ports = ("HAPROXY_METRICS_PORT", "HAPROXY_STATS_PORT", "FALLBACK_PROXY_HTTP_PORT")
            self._variables = {
                **{name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
                **environment.settings(),
                **{f"RAY_SERVE_{name}": str(free_port()) for name in ports},
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "RAY_AUTH_MODE": "token",
                "RAY_AUTH_TOKEN": self._token,
            }
        return self._variables


def wait_until(holds: Callable[[], bool], within_s: float = 120) -> None:
    """Wait for something that will be so."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
