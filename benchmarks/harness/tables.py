"""Writes the tables of figures in README.md and benchmarks/README.md from the JSON of the benchmarks.

A table stands between ``<!-- figures: NAME -->`` and ``<!-- end of figures -->``; nothing else of a page is touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from benchmarks.catalogue import BENCHMARKS
from benchmarks.harness.report import RESULTS

ROOT = RESULTS.parents[1]
PAGES = (ROOT / "README.md", ROOT / "benchmarks" / "README.md")
_BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def result(name: str) -> dict[str, Any]:
    """JSON of a benchmark."""
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return content


def best(rows: list[dict[str, Any]], items: int, key: str) -> float:
    """Largest value among the rows of a catalogue size; rows at another load have other columns."""
    return max(float(row[key]) for row in rows if row["items"] == items and key in row)


def search_rows() -> list[list[str]]:
    """Best 100 for one user, in the process."""
    return [
        [
            f"top 100 of {row['items']:,} items, ms",
            _figures(row["original_ms"]),
            _figures(row["answer_ms"]),
            _times(row["answer_ratio"]),
        ]
        for row in result("scoring")["rows"]
        if row["items"] in (1_700, 100_000, 1_000_000)
    ]


def service_rows() -> list[list[str]]:
    """Requests a second over HTTP, each at its own best number of connections."""
    rows = result("whole")["rows"]
    found = []
    for items in (1_700, 100_000, 1_000_000):
        theirs, ours = best(rows, items, "plain_rps"), best(rows, items, "service_rps")
        found.append([f"requests a second, {items:,} items", f"{theirs:,.0f}", f"{ours:,.0f}", _times(ours / theirs)])
    return found


def small() -> str:
    """Table of the README."""
    return table(["", "baseline", "ours", "ratio"], [*search_rows(), *service_rows()])


def all_results() -> str:
    """One row a benchmark: what it measures, when it was run and on what."""
    rows = []
    for each in BENCHMARKS:
        if not (RESULTS / f"{each.result}.json").exists():
            continue
        content = result(each.result)
        machine = content.get("machine", "")
        where = f"{machine['cpu']}, {machine['cores']} cores" if isinstance(machine, dict) else machine
        rows.append([f"`{each.module}`", each.measures, content.get("at", "")[:10], where, _link(each.result)])
    return table(["benchmark", "measures", "run on", "machine", "figures"], rows)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


TABLES: dict[str, Callable[[], str]] = {"small": small, "all": all_results}


def filled(page: str) -> str:
    """Page with its tables as the JSON has them."""
    return _BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", page)


def _figures(value: float) -> str:
    """Two figures: 330, 26, 0.14."""
    return f"{float(f'{value:.2g}'):,.10g}"


def _times(ratio: float) -> str:
    return f"{_figures(ratio)} x"


def _link(name: str) -> str:
    return f"[{name}.json](results/{name}.json)"


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text()))
