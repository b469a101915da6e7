"""Who goes first when all want the processor."""

import os
from pathlib import Path

from tests.support.running_service import children_of, words


def niceness(title: bytes, pids: set[int]) -> set[int]:
    threads = [int(path.name) for pid in pids if title in words(pid) for path in Path(f"/proc/{pid}/task").iterdir()]
    assert threads, title
    return {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads}


def test_what_requests_wait_for_goes_before_training_and_before_what_only_reports(service):
    pids = children_of(service.process.pid)

    for title in (b"Ingress", b"FeatureFetcher", b"Predictor"):
        assert niceness(b"ray::ServeReplica:recommender:" + title, pids) == {0}
    assert niceness(b"/raylet/raylet", pids) == {0}
    # Ray's own threads in it answer for its health; those that train are begun by one that has given way
    assert niceness(b"ray::ServeReplica:recommender:Trainer", pids) == {0, 10}
    for title in (b"ray::DashboardAgent", b"/ray/dashboard/dashboard.py", b"/ray/_private/log_monitor.py"):
        assert niceness(title, pids) == {10}
