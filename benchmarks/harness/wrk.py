"""Load from wrk, a compiled HTTP client: with one thread it takes a tenth of the processor of a client in Python."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile

from benchmarks.harness.http_load import Load

_SCRIPT = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", string.format("{path}", n % {users}))
end
"""
_UNITS_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3}


def measure(port: int, path: str, users: int, connections: int, seconds: float) -> Load:
    """Ask as fast as answers come, over keep-alive connections.

    Parameters
    ----------
    path
        With ``%d`` for the number of a user, which counts up.

    Raises
    ------
    SystemExit
        There is no wrk on PATH.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("no wrk: apt-get install wrk")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT.format(path=path, users=users))
        script.flush()
        command = [wrk, "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s", "--latency"]
        told = subprocess.run(
            [*command, "-s", script.name, f"http://127.0.0.1:{port}"], check=True, capture_output=True, text=True
        )
    return parsed(told.stdout)


def parsed(report: str) -> Load:
    """What wrk's report says: good answers a second, latencies of all, and how many were not answered well."""
    per_s = float(_found(r"^Requests/sec:\s+([\d.]+)", report))
    answers = int(_found(r"^\s+(\d+) requests in ", report))
    bad = sum(int(each) for each in re.findall(r"Non-2xx or 3xx responses: (\d+)", report))
    per_s *= 1 - bad / max(answers, 1)  # a refusal is quick, and no answer
    bad += sum(int(each) for line in re.findall(r"Socket errors: (.*)", report) for each in re.findall(r"\d+", line))
    return Load(per_s, _ms(report, 50), _ms(report, 99), bad)


def _ms(report: str, percentile: int) -> float:
    value, unit = re.fullmatch(r"([\d.]+)(\w+)", _found(rf"^\s+{percentile}%\s+(\S+)", report)).groups()  # type: ignore[union-attr]  # wrk writes it so
    return float(value) * _UNITS_MS[unit]


def _found(pattern: str, report: str) -> str:
    found = re.search(pattern, report, re.MULTILINE)
    if found is None:
        raise ValueError(f"wrk did not report {pattern}: {report}")
    return found[1]
