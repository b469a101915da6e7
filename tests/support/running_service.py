"""The real service: `serve run` in a process of its own, with a real store, on ports nobody uses."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from deployments.ray_runtime import environment, isolation

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
FAST_MODEL = {"epochs": 8, "no_components": 16, "learning_rate": 0.05}
TUNE_S = 3
"""Seconds of tuning in a full training: these services are there to be asked, not to be good."""


NEAR = os.environ.get("RECOMMENDER_TEST_NEAR", "auto")
N_INGRESSES_ANSWERING = 0 if NEAR == "never" else 2
"""Of the two that a service of these tests has: they have the model too where requests are answered near."""
"""``always`` or ``never``: the same tests, with one way of a request only."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RunningService:
    """A service and how to end it."""

    def __init__(self, folder: Path, **args: object) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "serve.log"
        config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
        # the heaviest call of the contract is 8 s of processor time: a slow machine must not be taken for a fault
        config["http_options"] |= {"port": self.port, "request_timeout_s": 20}
        application = config["applications"][0]
        application["args"] |= {"state_dir": str(folder / "state"), "model": FAST_MODEL, "near": NEAR, **args}
        application["args"]["training"] = {"tune_s": TUNE_S, **(application["args"].get("training") or {})}
        self.config = folder / "config.yaml"
        self.config.write_text(yaml.safe_dump(config))

    def start(self, **environment: str) -> "RunningService":
        variables = {
            **os.environ,
            **self._ray_environment(),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "RAY_ADDRESS": "local",
            "RAY_DEDUP_LOGS": "0",  # Ray holds back lines that are alike but for a request's id
            **environment,
        }
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job in the background, which would hand it on
            signal.signal(signal.SIGINT, signal.default_int_handler)
        with self.log.open("a") as log:
            self.process = subprocess.Popen(self.command(), cwd=ROOT, env=variables, stdout=log, stderr=log)
        return self

    def command(self) -> list[str]:
        return [str(BIN / "serve"), "run", str(self.config)]

    def _ray_environment(self) -> dict[str, str]:
        return {**environment.settings(), **isolation.folder(), **isolation.ports(self.port)}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, headers={"content-type": "application/json"})

    @contextmanager
    def serving(self, path: str = "/readyz", within_s: float = 180, **environment: str) -> Iterator["RunningService"]:
        """Itself, from when `path` answers 200 to the end of the block."""
        self.start(**environment)
        try:
            self.wait_until_ready(within_s, path)
            yield self
        finally:
            self.stop()

    def wait_until_ready(self, within_s: float = 180, path: str = "/readyz") -> float:
        """Seconds until it was ready."""
        begin = time.monotonic()
        while time.monotonic() < begin + within_s:
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            try:
                if httpx.get(f"{self.url}{path}", timeout=5).status_code == 200:
                    return time.monotonic() - begin
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(self.log.read_text()[-4000:])

    def processes(self) -> list[int]:
        """Processes that have this service's state folder in their command."""
        needle = str(self.folder / "state").encode()
        return [pid for pid in _pids() if needle in words(pid)]

    def stop(self, with_signal: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
            self.process.wait(60)


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def children_of(pid: int) -> set[int]:
    """All descendants of a process."""
    parents: dict[int, int] = {}
    for each in _pids():
        try:
            parents[each] = int(Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if words(pid)}
