"""Services to measure: `serve run` in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from deployments.ray_runtime import environment

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PORT = 8000
SETTLING_S = 3.0
"""Until HAProxy has been told of the last replica; at each that joins it closes idle connections."""


class Service:
    """A service with a configuration of its own.

    Parameters
    ----------
    folder
        For its state, configuration and log.
    args
        Over those of serve_config.yaml.
    replicas
        By deployment, over those of serve_config.yaml.
    more
        Further applications of the same cluster.
    config
        Instead of serve_config.yaml.
    """

    def __init__(
        self,
        folder: Path,
        args: dict[str, Any],
        replicas: dict[str, int] | None = None,
        more: tuple[Any, ...] = (),
        config: Path = ROOT / "serve_config.yaml",
    ) -> None:
        content = yaml.safe_load(config.read_text())
        application = content["applications"][0]
        application["args"] |= {"state_dir": str(folder / "state"), **args}
        for deployment in application["deployments"]:
            if deployment["name"] in (replicas or {}):
                deployment["num_replicas"] = (replicas or {})[deployment["name"]]
        content["applications"] += more
        self._config = folder / "config.yaml"
        self._config.write_text(yaml.safe_dump(content))
        self._log = folder / "serve.log"

    def __enter__(self) -> Service:
        variables = {
            **os.environ,
            **environment.settings(),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "RAY_ADDRESS": "local",
        }
        with self._log.open("a") as log:
            command = [str(BIN / "serve"), "run", str(self._config)]
            self._process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=log)
        self._wait("/readyz")
        time.sleep(SETTLING_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)

    @property
    def session(self) -> Path:
        """Folder of Ray's session."""
        (found,) = Path("/tmp/ray").glob(f"session_*_{self._process.pid}")  # noqa: S108 (where Ray keeps it)
        return found

    @property
    def pid(self) -> int:
        """Process from which all others of the service descend."""
        return self._process.pid

    def wait_for(self, path: str) -> None:
        """Wait until a path answers 200."""
        self._wait(path)

    def _wait(self, path: str, within_s: float = 600) -> None:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(self._log.read_text()[-4000:])
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=5):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.2)
        raise RuntimeError(f"{path} did not answer: {self._log.read_text()[-4000:]}")
