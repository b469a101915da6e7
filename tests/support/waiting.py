"""Waiting until a service has done what it does by itself."""

import time


def wait_for(holds, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def settle(client, within_s: float = 60) -> dict:
    """Status once nothing waits and nothing is being trained."""
    deadline = time.monotonic() + within_s
    while True:
        status = client.get("/v1/status").json()
        if status["interactions_waiting"] == 0 and status["training"] == "idle":
            return status
        assert time.monotonic() < deadline, status
        time.sleep(0.2)
