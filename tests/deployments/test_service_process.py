"""The supervisor of the service, with a child that stands for `serve run`: what is said, and how it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.running_service import alive, children_of, free_port
from tests.support.waiting import wait_for

ROOT = Path(__file__).parents[2]
CHILD = """
import http.server, subprocess, sys
subprocess.Popen(["/bin/sleep", "600"])
print("Started. View the dashboard at \\x1b[1mhttp://127.0.0.1:8265\\x1b[0m", flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
try:
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
except KeyboardInterrupt:
    print("*** a stack trace of Ray's ***", flush=True)
    sys.exit(15)
"""
PARENT = """
import os, sys
from deployments.ray_runtime.service_process import Supervisor
port, *command = sys.argv[1:]
tell = lambda line: print(line, flush=True)
sys.exit(Supervisor(command, dict(os.environ), f"http://127.0.0.1:{port}", tell).run())
"""


def supervised(port: int, *command: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-c", PARENT, str(port), *command]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_that_it_is_ready_and_where_the_dashboard_is_and_ends_quietly(number):
    port = free_port()
    process = supervised(port, sys.executable, "-c", CHILD, str(port))
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(3)]
    started = children_of(process.pid)
    process.send_signal(number)
    rest, _ = process.communicate(timeout=60)

    assert told[0] == "Started. View the dashboard at http://127.0.0.1:8265\n"
    assert told[1] == f"ready: http://127.0.0.1:{port}\n"
    assert told[2].startswith("dashboard: http://127.0.0.1:8265; its token: ")
    assert (process.returncode, rest) == (0, "")
    assert len(started) == 2
    assert alive(started) == set()


def test_a_service_that_ends_by_itself_is_a_failure():
    process = supervised(free_port(), sys.executable, "-c", "print('no such argument')")
    told, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "no such argument" in told
    assert "ended by itself" in told


def test_a_supervisor_that_is_killed_takes_its_child_with_it():
    port = free_port()
    process = supervised(port, sys.executable, "-c", CHILD, str(port))
    assert process.stdout is not None
    process.stdout.readline()
    (child,) = (pid for pid in children_of(process.pid) if children_of(pid))
    helper = children_of(child)
    process.kill()
    process.wait()
    process.stdout.close()

    try:
        wait_for(lambda: not alive({child}), 20)
    finally:
        for pid in alive(helper):
            os.kill(pid, signal.SIGKILL)
