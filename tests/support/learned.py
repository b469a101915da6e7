"""What a service has learned, read from its archive."""

import collections
import time
from pathlib import Path

from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Registry
from tests.support.running_service import RunningService

QUIET_S = 3


def learned_by(service: RunningService) -> collections.Counter[tuple[str, str]]:
    """Counts of user and item in the archive of the newest version, once nothing waits."""
    deadline = time.monotonic() + 90
    with service.client() as client:
        # a trainer that was just killed says nothing, and a store that was may still say too little for a moment
        quiet_since = time.monotonic()
        while time.monotonic() < quiet_since + QUIET_S:
            status = client.get("/v1/status").json()
            if status["interactions_waiting"] != 0 or status["training"] != "idle":
                quiet_since = time.monotonic()
            assert time.monotonic() < deadline, status
            time.sleep(0.2)
    state: Path = service.folder / "state"
    version = next(each for each in Registry(state / "models").versions() if each.status != "rejected")
    assert version.meta.gaps == ()
    segments = version.meta.segments
    rows = Archive(state / "archive").read(segments)
    rows = rows[rows["offset"] > 0]
    return collections.Counter(zip(rows["user_id"], rows["item_id"], strict=True))
