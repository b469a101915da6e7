"""What logging exposures costs in processor time, where answers are given and where they are taken over.

The first is the time of recording, reading, packing and writing an answer of ten items, with the store's client; the
store's own time is not in it. The second is what the trainer spends on an exposure, and on an interaction that it
attributes, in the background. A request takes 1 to 2 ms of processor time as a whole (`service.service_vs_flask`).
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

import msgspec

from benchmarks.harness import report
from recommender.exposures import ExposureBuffer, ExposureFollower, ExposureKeeper, ExposureWriter, follower
from recommender.stores import EmbeddedValkey, Store, open_store
from recommender.stores.protocols import Interaction

N, AT_ONCE = 5_000, 20
SEED = 0


def answers() -> list[bytes]:
    """Answers of ten items, as they go out."""
    item = {"score": 2.31, "case": "I", "title": "Some title of an item"}
    about = {"strategy": "personalized", "case": "I", "model_version": "00000007", "ignored_features": []}
    return [
        msgspec.json.encode(
            {
                "user_id": f"user-{number % 500}",
                **about,
                "items": [{"item_id": f"item-{(number * 7 + place) % 1000}", **item} for place in range(10)],
                "recommendation_id": f"{number:032x}",
                "degraded": [],
            }
        )
        for number in range(N)
    ]


async def cpu_us(work: Awaitable[object], each: int) -> float:
    """Processor time of this process for one of `each`, in microseconds."""
    begun = time.process_time()
    await work
    return round((time.process_time() - begun) / each * 1e6, 1)


async def log_answers(store: Store, given: list[bytes]) -> None:
    """Record answers as an ingress does, and write them in batches."""
    buffer = ExposureBuffer()
    writer = ExposureWriter(buffer, store)
    for start in range(0, len(given), AT_ONCE):
        for answer in given[start : start + AT_ONCE]:
            buffer.record(answer)
        await writer.flush()
    assert writer.written == len(given)


async def measure(folder: Path) -> list[dict[str, object]]:
    """Both parts."""
    server = EmbeddedValkey(folder / "store")
    server.start()
    store = open_store(server.url, timeout_s=30)
    keeper = ExposureKeeper(folder / "exposures")
    follower.SETTLE_S = 0.0
    try:
        given = answers()
        logging_us = await cpu_us(log_answers(store, given), N)
        following = ExposureFollower(keeper, store)
        exposure_us = await cpu_us(following.follow(), N)
        now = time.time()
        clicks = [Interaction(f"user-{each % 500}", f"item-{each * 7 % 1000}", 1.0, now, "click") for each in range(N)]
        await store.append(clicks)
        interaction_us = await cpu_us(following.follow(), N)
    finally:
        await store.close()
        keeper.close()
        server.stop()
    return [
        {"part": "ingress, an answer", "cpu_us": logging_us},
        {"part": "trainer, an exposure", "cpu_us": exposure_us},
        {"part": "trainer, an interaction", "cpu_us": interaction_us},
    ]


def main() -> None:
    """Measure, and write the figures."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        report.write("exposure_logging", SEED, asyncio.run(measure(Path(folder))))


if __name__ == "__main__":
    main()
