"""`recommender serve` as a person uses it: one command, a line that says ready, a quiet end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.support.running_service import alive, children_of, free_port
from tests.support.waiting import wait_for as poll

ENDS_WITHIN_S = 60


@pytest.mark.parametrize(("number", "demo"), [(signal.SIGTERM, []), (signal.SIGINT, ["--demo"])])
def test_it_says_when_it_is_ready_and_ends_quietly_with_all_that_it_started(tmp_path: Path, number: int, demo: list):
    port = free_port()
    log = tmp_path / "log"
    words = [
        "serve",
        "--port",
        str(port),
        "--dataset",
        "synthetic?n_users=60&n_items=30",
        "--state-dir",
        "state",
        *demo,
    ]
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "lightfm_serve.cli", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=output,
            stderr=output,
        )
    try:
        wait_for(log, f"ready: http://127.0.0.1:{port}\n", process)
        assert httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10).status_code == 200
        wait_for(log, "get-auth-token", process)
        assert "slower than with" not in log.read_text()
        assert (tmp_path / "state" / "models").is_dir()
        if demo:
            wait_for(log, "simulated users click now", process)
            poll(lambda: clicks(port) > 0, 120)
        started = children_of(process.pid)
        before = len(log.read_text())

        process.send_signal(number)
        assert process.wait(ENDS_WITHIN_S) == 0
    finally:
        process.kill()
        process.wait()

    assert alive(started) == set()
    farewell = log.read_text()[before:]
    assert "Traceback" not in farewell
    assert "Stack trace" not in farewell


def clicks(port: int) -> int:
    """Attributed clicks so far; 0 too where the service has no answer yet."""
    answer = httpx.get(f"http://127.0.0.1:{port}/v1/attribution", timeout=30)
    rows = answer.json()["rows"] if answer.status_code == 200 else []
    return sum(row["interactions"].get("click", 0) for row in rows)


def wait_for(log: Path, text: str, process: subprocess.Popen, within_s: float = 180) -> None:
    deadline = time.monotonic() + within_s
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()[-4000:]
        assert time.monotonic() < deadline, log.read_text()[-4000:]
        time.sleep(0.1)
