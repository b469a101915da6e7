"""From the PUT of an item to its place in answers, on every replica, in catalogues of different sizes."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.harness import report
from benchmarks.harness.fake_versions import put_versions
from benchmarks.harness.service_process import PORT, Service
from benchmarks.service.publish_latency import QUIET

SIZES = (10_000, 1_000_000)
ITEMS, IN_A_ROW = 50, 12
"""New items, and answers in a row that must have one: so many that every replica is among them."""


def seen_after_ms(client: httpx.Client, number: int) -> float:
    """Put an item, and ask until every answer has it; milliseconds from the PUT's answer to the last one without."""
    item_id = f"fresh-{number}"
    query = {"requests": [{"user_id": str(number), "candidates": [item_id], "k": 1}]}
    put = client.put(f"/v1/items/{item_id}", json={"features": {"tag": str(number % 500)}})
    assert put.status_code == 201, put.text
    begin = last_without = time.perf_counter()
    in_a_row = 0
    while in_a_row < IN_A_ROW:
        [answer] = client.post("/v1/recommendations", json=query).json()["results"]
        in_a_row = in_a_row + 1 if answer["items"] else 0
        if not answer["items"]:
            last_without = time.perf_counter()
        assert time.perf_counter() - begin < 10
    return (last_without - begin) * 1e3


def measure(n_items: int) -> dict[str, Any]:
    """Many new items, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        put_versions(Path(folder) / "state", n_items, 1)
        with Service(Path(folder), QUIET), httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=30) as client:
            delays = [seen_after_ms(client, number) for number in range(ITEMS)]
            begin = time.perf_counter()
            answer = client.get("/v1/users/7/recommendations", params={"k": 10}).json()
            assert len(answer["items"]) == 10
            return {
                "catalogue": n_items,
                "new_items": ITEMS,
                "in_the_very_next_answer": sum(delay == 0 for delay in delays),
                "delay_median_ms": round(statistics.median(delays), 1),
                "delay_max_ms": round(max(delays), 1),
                "one_answer_ms": round((time.perf_counter() - begin) * 1e3, 1),
            }


def main() -> None:
    """Every size."""
    report.write("fresh_items", 0, [measure(n_items) for n_items in SIZES])


if __name__ == "__main__":
    main()
