"""A real service that starts empty, with keys."""

from contextlib import AbstractContextManager
from pathlib import Path

from tests.support.running_service import RunningService

KEY = "the-key"
TRAINING = {"min_interactions": 500, "incremental_every_s": 86_400, "full_every_s": 86_400}


def empty_service(folder: Path) -> AbstractContextManager[RunningService]:
    running = RunningService(folder, dataset="none", training=TRAINING)
    # it is not ready before it has learned something
    return running.serving("/healthz", within_s=120, RECOMMENDER_API_KEYS=f"admin:{KEY}")
