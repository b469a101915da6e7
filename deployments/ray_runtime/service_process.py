"""Supervisor of ``serve run``: says when the service is ready, and ends all that it started when it is told to end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from deployments.ray_runtime import orphans, proc
from deployments.ray_runtime.environment import BIN, service_environment
from deployments.ray_runtime.isolation import FOLDER_OF_STATE, USUAL_PORT

LOOK_EVERY_S = 0.2
ENDS_WITHIN_S = 30.0
"""Of ``serve run``, which drains its replicas; what lives on after that is killed."""
LINGERS_S = 5.0
"""Of Ray's other processes, which end by themselves when ``serve run`` has ended."""
DIES_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux."""
_DASHBOARD = re.compile(r"View the dashboard at (http://[\w.:-]+)")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

Tell = Callable[[str], None]


def serve(config: Path, port: int | None, overrides: Mapping[str, str], tell: Tell) -> int:
    """Run the service until SIGINT or SIGTERM.

    Parameters
    ----------
    config
        What ``serve run`` takes.
    port
        Of HTTP, instead of that of the configuration.
    overrides
        Environment variables that override arguments of the configuration.
    tell
        Is told when it is ready, and where Ray's dashboard is.

    Returns
    -------
    int
        Exit status: 0 when it was told to end, else 1.
    """
    os.umask(0o077)  # what Ray writes, its token included, is nobody else's
    orphans.main()
    content = yaml.safe_load(config.read_text())
    http = content.setdefault("http_options", {})
    variables = {**service_environment(port or int(http.get("port", USUAL_PORT))), **overrides}
    folder = Path(variables[FOLDER_OF_STATE])
    if port is not None:
        http["port"] = port
        config = folder / "serve_config.yaml"
        config.write_text(yaml.safe_dump(content))
    try:
        return Supervisor([str(BIN / "serve"), "run", str(config)], variables, url_of(http), tell).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def url_of(http_options: Mapping[str, Any]) -> str:
    """Where this machine reaches a service."""
    host = str(http_options.get("host", "127.0.0.1"))
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 (nothing is bound here)
    return f"http://{host}:{http_options.get('port', USUAL_PORT)}"


class Supervisor:
    """A child process, what it says, and its end.

    Parameters
    ----------
    command, variables
        Of the child.
    url
        Where the service will answer.
    tell
        Is told when it does.
    """

    def __init__(self, command: list[str], variables: Mapping[str, str], url: str, tell: Tell) -> None:
        self._command, self._variables, self._url, self._tell = command, variables, url, tell
        self._ending = threading.Event()
        self._dashboard = ""

    def run(self) -> int:
        """Run the child until it ends, or a signal asks for the end; see `serve` for the status."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._ending.set())
        # a session of its own: Ctrl-C is for this process, which then ends the child in order
        child = subprocess.Popen(
            self._command,
            env=dict(self._variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 (there is no other thread yet)
        )
        for work in (self._relay, self._announce):
            threading.Thread(target=work, args=(child,), daemon=True).start()
        while child.poll() is None and not self._ending.wait(LOOK_EVERY_S):
            pass
        if not self._ending.is_set():
            self._tell("the service has ended by itself; what it said last is above")
            return 1
        end(child)
        return 0

    def _relay(self, child: subprocess.Popen[bytes]) -> None:
        """Pass on what the child says, until it is told to end: Ray's farewell is a stack trace."""
        assert child.stdout is not None  # noqa: S101 (it is a pipe)
        for line in child.stdout:
            plain = _COLOURS.sub("", line.decode(errors="replace"))
            found = _DASHBOARD.search(plain)
            self._dashboard = found[1] if found else self._dashboard
            if not self._ending.is_set():
                sys.stderr.write(plain)
                sys.stderr.flush()

    def _announce(self, child: subprocess.Popen[bytes]) -> None:
        """Say once that the service is up without a model, and once that it is ready."""
        is_up = False
        while child.poll() is None and not self._ending.wait(LOOK_EVERY_S):
            if _answers(f"{self._url}/readyz"):
                self._tell(f"ready: {self._url}")
                if self._dashboard:
                    self._tell(f"dashboard: {self._dashboard}; its token: {BIN / 'ray'} get-auth-token")
                return
            if not is_up and _answers(f"{self._url}/healthz"):
                is_up = True
                self._tell(f"up, and no model serves yet: {self._url}")


def end(child: subprocess.Popen[bytes]) -> None:
    """End a child and all its descendants: as Ctrl-C does, and by force what does not heed it."""
    started = proc.descendants(child.pid)
    child.send_signal(signal.SIGINT)
    try:
        child.wait(ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        started |= proc.descendants(child.pid)
        child.kill()
        child.wait()
    deadline = time.monotonic() + LINGERS_S
    while (left := proc.still(started)) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S / 2)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 (http, of our own making)
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def _die_with_parent() -> None:
    """Ask Linux to end this process when its parent is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGTERM)
