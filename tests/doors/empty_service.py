"""A real service that starts empty, with keys."""

import time
from pathlib import Path

import httpx
from running_service import RunningService

KEY = "the-key"
TRAINING = {"min_interactions": 500, "incremental_every_s": 86_400, "full_every_s": 86_400}


def empty_service(folder: Path) -> RunningService:
    running = RunningService(folder, dataset="none", training=TRAINING)
    return running.start(RECOMMENDER_API_KEYS=f"admin:{KEY}")


def wait_until_up(running: RunningService, within_s: float = 120) -> None:
    """It is not ready before it has learned something."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        assert running.process.poll() is None, running.log.read_text()[-4000:]
        try:
            if httpx.get(f"{running.url}/healthz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(running.log.read_text()[-4000:])
