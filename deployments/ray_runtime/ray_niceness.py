"""Process priority: Ray's dashboard, agents and log monitor run at a lower one than requests.

Now and then an agent works through the histograms of all replicas of its node, for a tenth to a third of a second. With
the priority of a replica it takes a share of the processors that the slowest requests then miss.
"""

from __future__ import annotations

import contextlib
import os

from deployments.ray_runtime import proc

NICENESS = 10
TITLES = (
    b"ray::DashboardAgent",
    b"ray::RuntimeEnvAgent",
    b"ray-dashboard-",
    b"/ray/dashboard/dashboard.py",
    b"/ray/_private/log_monitor.py",
    b"/ray/autoscaler/_private/monitor.py",
)
"""Of what only reports; what replicas and requests wait for is not among them."""


def give_way() -> None:
    """Lower the priority of what reports of the Ray that started this process, on this machine."""
    raylet = os.getppid()
    for pid in proc.everyone():
        # a process that has ended, or that is somebody else's
        with contextlib.suppress(OSError):
            if _reports(pid) and not {raylet, proc.parent(raylet)}.isdisjoint(proc.ancestors(pid)):
                _lower(pid)


def _reports(pid: int) -> bool:
    command = proc.command(pid)
    return any(title in command for title in TITLES)


def _lower(pid: int) -> None:
    for thread in proc.threads(pid):
        if os.getpriority(os.PRIO_PROCESS, thread) < NICENESS:
            os.setpriority(os.PRIO_PROCESS, thread, NICENESS)
