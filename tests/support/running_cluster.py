"""A real Ray cluster of several nodes on this machine: `ray start` for each, and `serve deploy` onto it."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import yaml

from tests.support.running_service import BIN, ROOT, RunningService, children_of, free_port, words

STORE_BYTES = 200 << 20
APPLICATION = "recommender"


class Node:
    """A raylet and what it starts."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process

    def processes(self) -> set[int]:
        return children_of(self.process.pid) | {self.process.pid}

    def replicas(self, deployment: str) -> set[int]:
        title = f"ServeReplica:{APPLICATION}:{deployment}".encode()
        return {pid for pid in self.processes() if title in words(pid)}

    def has(self, title: bytes) -> bool:
        return any(title in words(pid) for pid in self.processes())

    def leave(self, within_s: float = 60) -> None:
        """Drained, as an operator or an autoscaler takes one away."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(within_s)

    def kill(self) -> None:
        """All at once, as when the power fails."""
        doomed = self.processes()
        for pid in doomed:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


class RunningCluster(RunningService):
    """A head and whatever nodes join it; the service comes with `deploy`."""

    def __init__(self, folder: Path, code: Path = ROOT, **args: object) -> None:
        super().__init__(folder, **args)
        self.content = yaml.safe_load(self.config.read_text())
        self.application = self.content["applications"][0]
        self.code = code
        self.host = "127.0.0.1"
        """Of the head."""
        self.nodes: list[Node] = []
        self._temporary = Path(tempfile.mkdtemp(prefix="rc"))  # paths of sockets in there must stay short
        self._gcs, self._dashboard = free_port(), free_port()
        self.token = secrets.token_hex(16)
        self.variables = {
            **{name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
            **self._ray_environment(),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(code),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
        }

    def start_head(self, *options: str, **environment: str) -> Node:
        self.variables |= environment
        return self._start(*options, "--head", f"--port={self._gcs}", f"--dashboard-host={self.host}",
                           f"--dashboard-port={self._dashboard}", f"--ray-client-server-port={free_port()}",
                           f"--temp-dir={self._temporary}")  # fmt: skip

    def join(self) -> Node:
        """One more node."""
        return self._start(f"--address={self.host}:{self._gcs}")

    def parts(self, **changes: dict) -> None:
        """Change what the configuration says of deployments."""
        for deployment in self.application["deployments"]:
            deployment.update(changes.get(deployment["name"], {}))

    def put(self) -> None:
        """Bring the configuration onto the cluster as the dashboard does it."""
        self.api("PUT", "/api/serve/applications/", json=self.content).raise_for_status()

    def deploy(self) -> subprocess.CompletedProcess:
        """Bring code and configuration onto the cluster as an operator does it."""
        self.config.write_text(yaml.safe_dump(self.content))
        command = [
            sys.executable,
            "-m",
            "lightfm_serve.cli",
            "cluster",
            "deploy",
            str(self.config),
            "--address",
            self.dashboard,
        ]
        done = subprocess.run(
            command, cwd=self.code, env=self.variables, capture_output=True, text=True, check=False, timeout=300
        )
        self.application["runtime_env"] = self.state()["deployed_app_config"].get("runtime_env", {})
        return done

    @property
    def dashboard(self) -> str:
        return f"http://{self.host}:{self._dashboard}"

    def api(self, method: str, path: str, **content: object) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"}
        return httpx.request(method, f"{self.dashboard}{path}", headers=headers, timeout=60, **content)

    def state(self, application: str = APPLICATION) -> dict:
        """An application, as Serve's REST API shows it."""
        return self.api("GET", "/api/serve/applications/").json()["applications"].get(application, {})

    def is_running(self) -> bool:
        """Whether Serve has nothing left to do."""
        state = self.state()
        return state.get("status") == "RUNNING" and all(
            each["status"] == "HEALTHY" for each in state["deployments"].values()
        )

    def is_whole(self) -> bool:
        """Whether every replica that is wanted, and no other, is on a living node."""
        living = [node for node in self.nodes if node.process.poll() is None]
        wanted = {each["name"]: each["num_replicas"] for each in self.application["deployments"]}
        there = {name: sum(len(node.replicas(name)) for node in living) for name in wanted}
        return there == wanted and self.is_running()

    def wait_until_running(self, within_s: float = 180) -> None:
        deadline = time.monotonic() + within_s
        while not self.is_running():
            assert time.monotonic() < deadline, self.state()
            time.sleep(0.2)

    def running(self, deployment: str) -> int:
        """How many replicas answer."""
        replicas = self.state()["deployments"][deployment]["replicas"]
        return sum(each["state"] == "RUNNING" for each in replicas)

    def object_store_bytes(self) -> list[int]:
        """What is used of the object store of each living node, as Ray counts it every few seconds."""
        listed = self.api("GET", "/nodes?view=summary").json()["data"]["summary"]
        raylets = [each["raylet"] for each in listed]
        return [each["objectStoreUsedMemory"] for each in raylets if each["state"] == "ALIVE"]

    def nodes_with(self, title: bytes) -> list[Node]:
        """Living nodes with a process of this title."""
        return [node for node in self.nodes if node.process.poll() is None and node.has(title)]

    def wait_until_ready(self, within_s: float = 180) -> float:
        self.process = self.nodes[0].process
        return super().wait_until_ready(within_s)

    def stop(self, with_signal: int = signal.SIGKILL) -> None:  # noqa: ARG002 (nothing is to be drained)
        for node in reversed(self.nodes):
            node.kill()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _start(self, *options: str) -> Node:
        # no --node-name: Serve takes a node's name for its address, and HAProxy would not know its own replicas
        command = [str(BIN / "ray"), "start", "--block", "--disable-usage-stats", "--num-cpus=2",
                   f"--object-store-memory={STORE_BYTES}", "--min-worker-port=0", "--max-worker-port=0",
                   f"--dashboard-agent-listen-port={free_port()}", *options]  # fmt: skip
        before = self._living()
        # workers look for code in the folder in which their node was started, before the path
        with self.log.open("a") as log:
            process = subprocess.Popen(self._inside(command), cwd=self.code, env=self.variables, stdout=log, stderr=log)
        self.nodes.append(Node(process))
        deadline = time.monotonic() + 60
        while not self._living() - before:
            assert process.poll() is None, self.log.read_text()[-4000:]
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            time.sleep(0.1)
        return self.nodes[-1]

    def _inside(self, command: list[str]) -> list[str]:
        """Command that starts a node where it shall be."""
        return command

    def _living(self) -> set[str]:
        """Nodes that Ray knows to be alive."""
        try:
            answer = self.api("GET", "/api/v0/nodes")
        except httpx.TransportError:
            return set()
        if answer.status_code != 200:
            return set()
        listed = answer.json()["data"]["result"]["result"]
        return {each["node_id"] for each in listed if each["state"] == "ALIVE"}
