"""What the sizing page counts with: processor time and memory of each part, bytes of a record in the store.

Processor time is that of the processes, not of the clock, so that other work on the machine disturbs it little.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.harness import http_load, process_tree, report
from benchmarks.harness.fake_versions import put_versions
from benchmarks.harness.service_process import PORT, Service
from benchmarks.service.publish_latency import QUIET
from recommender.stores import open_store
from recommender.stores.embedded_valkey import EmbeddedValkey
from recommender.stores.protocols import Interaction, Item, User

SIZES = (1_700, 30_000, 100_000, 400_000)
CONNECTIONS, WARM_S, SECONDS, ROUNDS = 64, 5.0, 4.0, 4
RECORDS, AT_ONCE = 100_000, 5_000
PARTS = {
    b"ServeReplica:recommender:Ingress": "ingress",
    b"ServeReplica:recommender:FeatureFetcher": "fetcher",
    b"ServeReplica:recommender:Predictor": "predictor",
    b"ServeReplica:recommender:Trainer": "trainer",
    b"/haproxy": "proxy",
    b"valkey-server": "store",
    b"ModelStoreState": "model_store",
}
"""By what a command has, whose it is; the first that fits. Everything else is Ray's own."""


def path(turn: int) -> str:
    """Request of the load."""
    return f"/v1/users/{turn % 10_000}/recommendations"


def part_of(pid: int) -> str:
    """Name of the part."""
    words = process_tree.command(pid)
    return next((name for each, name in PARTS.items() if each in words), "ray")


def processor_s(root: int) -> Counter[str]:
    """Seconds of processor time by part."""
    seconds: Counter[str] = Counter()
    for pid in (root, *process_tree.pids(root)):
        seconds[part_of(pid)] += process_tree.processor_s(pid)  # type: ignore[assignment]
    return seconds


def pss_mib(root: int) -> Counter[str]:
    """Memory by part, shared pages in shares."""
    sizes: Counter[str] = Counter()
    for pid in (root, *process_tree.pids(root)):
        sizes[part_of(pid)] += process_tree.memory_kib(pid).get("Pss", 0)
    return Counter({part: size >> 10 for part, size in sizes.items()})


def round_of(service: Service) -> dict[str, Any]:
    """What a request costs each part, and the client."""
    before, own, begin = processor_s(service.pid), time.process_time(), time.monotonic()
    seen = http_load.measure(PORT, path, CONNECTIONS, SECONDS)
    elapsed, client_s, after = time.monotonic() - begin, time.process_time() - own, processor_s(service.pid)
    requests = seen.requests_per_s * SECONDS
    assert not seen.failed, f"{seen.failed} requests failed"
    parts = {part: round((after[part] - before[part]) / requests * 1e3, 4) for part in sorted(after)}
    return {
        "rps": round(seen.requests_per_s),
        "p50_ms": round(seen.p50_ms, 1),
        "processor_ms": round(sum(parts.values()), 3),
        "client_processor_ms": round(client_s / requests * 1e3, 3),
        "busy_cores": round((sum((after - before).values()) + client_s) / elapsed, 2),
        "processor_ms_by_part": parts,
    }


def measure(folder: Path, n_items: int) -> dict[str, Any]:
    """One catalogue: the round that others on the machine disturbed least, and what each part takes."""
    put_versions(folder / "state", n_items, 1)
    (version,) = (folder / "state" / "models").glob("0*")
    with Service(folder, QUIET) as service:
        http_load.measure(PORT, path, CONNECTIONS, WARM_S)
        best = min((round_of(service) for _ in range(ROUNDS)), key=lambda each: float(each["processor_ms"]))
        sizes = pss_mib(service.pid)
    return {
        "items": n_items,
        "snapshot_mib": round((version / "snapshot.safetensors").stat().st_size / 2**20, 1),
        **best,
        "pss_mib": sum(sizes.values()),
        "pss_mib_by_part": dict(sorted(sizes.items())),
    }


async def store_bytes(url: str, records: int = RECORDS) -> dict[str, Any]:
    """Bytes of a user and an item with five features each, and of an interaction that waits, ten a user."""
    store = open_store(url, max_backlog=3 * records)
    features = {"age": 31, "country": "NL", "plan": "free", "device": "phone", "tags": ["Drama", "Comedy"]}
    now = time.time()
    writes = {
        "user": lambda n: store.put_users([User(f"user-{i}", features, now) for i in n]),
        "item": lambda n: store.put_items([Item(f"item-{i}", "A title of some words", features, True, now) for i in n]),
        "interaction": lambda n: store.append([_interaction(i, records, now, None) for i in n]),
        "interaction_with_event_id": lambda n: store.append(
            [_interaction(i, records, now, f"event-{i:012d}") for i in n]
        ),
    }
    sizes = {"empty_mib": round(await _used(url) / 2**20, 1)}
    for name, write in writes.items():
        before = await _used(url)
        for start in range(0, records, AT_ONCE):
            await write(range(start, start + AT_ONCE))
        sizes[f"bytes_of_a_{name}"] = round((await _used(url) - before) / records)
    await store.close()
    return {"store": "valkey", "records": records, **sizes}


def _interaction(number: int, records: int, now: float, event_id: str | None) -> Interaction:
    user, item = number % (records // 10), (number * 7 + (event_id is not None)) % records
    return Interaction(f"user-{user}", f"item-{item}", 1.0, now, "click", event_id)


async def _used(url: str) -> int:
    import redis.asyncio  # noqa: PLC0415 (its clients belong to a loop)

    async with redis.asyncio.from_url(url) as client:
        return int((await client.info("memory"))["used_memory"])


def main() -> None:
    """The service at every size, then the store."""
    rows: list[dict[str, Any]] = []
    for n_items in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(Path(folder), n_items))
            print(rows[-1], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedValkey(Path(folder))
        server.start()
        try:
            rows.append(asyncio.run(store_bytes(server.url)))
        finally:
            server.stop()
    report.write("sizing", 0, rows)


if __name__ == "__main__":
    main()
