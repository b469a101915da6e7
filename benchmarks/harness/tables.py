"""Writes the figures of README.md, benchmarks/README.md and docs from the JSON of the benchmarks.

A table or list stands between ``<!-- figures: NAME -->`` and ``<!-- end of figures -->``; nothing else of a page is
touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.catalogue import BENCHMARKS
from benchmarks.harness import quality_figures
from benchmarks.harness.report import RESULTS

ROOT = RESULTS.parents[1]
PAGES = (
    ROOT / "README.md",
    ROOT / "benchmarks" / "README.md",
    ROOT / "docs" / "freshness.md",
    ROOT / "docs" / "quality.md",
    ROOT / "docs" / "reliability.md",
    ROOT / "docs" / "training.md",
)
MISSING = "-"
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


PLAIN_SERVERS = {"flask": "Flask", "plain": "Starlette, numpy"}


def service_rows(names: Sequence[str] = tuple(PLAIN_SERVERS)) -> list[list[str]]:
    """Requests a second over HTTP against plain servers, each at its own best number of connections."""
    rows = result("whole")["rows"]
    found = []
    for name in names:
        sizes = sorted({row["items"] for row in rows if f"{name}_rps" in row})
        for items in sizes:
            theirs, ours = best(rows, items, f"{name}_rps"), best(rows, items, "service_rps")
            label = f"requests a second, {items:,} items; {PLAIN_SERVERS[name]}"
            found.append([label, f"{theirs:,.0f}", f"{ours:,.0f}", _times(ours / theirs)])
    return found


def small() -> str:
    """Table of the README: the harder one of the plain servers alone."""
    return table(["", "baseline", "ours", "ratio"], [*search_rows(), *service_rows(["plain"])])


def baselines() -> str:
    """Table of the README, and the other plain server."""
    return table(["", "baseline", "ours", "ratio"], [*search_rows(), *service_rows()])


def facts() -> str:
    """Facts of the README, a number and its source each."""
    answer = next(row for row in result("scoring")["rows"] if row["items"] == 1_000_000)
    new = max(result("fresh_items")["rows"], key=lambda row: row["catalogue"])
    clicks = next(row for row in result("fold_in")["rows"] if (row["users"], row["interactions"]) == ("strangers", 10))
    swaps = [row for row in result("broadcast")["rows"] if "failed" in row]
    failed, swapped = (sum(row[name] for row in swaps) for name in ("failed", "swaps"))
    gain = clicks["folded_in"] / clicks["popular"] - 1
    lines = [
        ("Fast", f"the exact top 100 of 1,000,000 items in {_figures(answer['answer_ms'])} ms", "scoring"),
        (
            "Scales",
            f"{best(result('whole')['rows'], 100_000, 'service_rps'):,.0f} requests a second on two cores",
            "whole",
        ),
        (
            "Fresh",
            f"{new['in_the_very_next_answer']} of {new['new_items']} new items in the very next answer",
            "fresh_items",
        ),
        ("Learns at once", f"after ten clicks of a new user ndcg@10 is {gain:.0%} above popularity", "fold_in"),
        ("No gap", f"{failed} failed requests while {swapped} new versions of the model came in", "broadcast"),
    ]
    measured = "".join(
        f"* **{name}:** {fact} ([{json}](benchmarks/results/{json}.json)).\n" for name, fact, json in lines
    )
    return f"{measured}* **Good:** {quality()} ([quality](docs/quality.md)).\n"


def quality() -> str:
    """The defaults and tuned baselines in the first evaluation of docs/quality.json."""
    first = next(quality_figures.rows())
    known = [name for name in ("ease", "slim", "als") if name in first.contenders]
    others = ", ".join(f"{name} {first.mean(name, 'ndcg'):.3f}" for name in known)
    ours = first.mean(quality_figures.OURS, "ndcg")
    return f"ndcg@{first.k} {ours:.3f} on {first.dataset}, untuned; tuned {others}"


def quality_own() -> str:
    """Ours and the baselines, by ndcg, on splits that `recommender evaluate` makes."""
    return table(*quality_figures.table_of((row for row in quality_figures.rows() if row.split != "fixed"), "ndcg"))


def quality_given() -> str:
    """Ours and the baselines, by recall and ndcg, on public splits."""
    given = [row for row in quality_figures.rows() if row.split == "fixed"]
    both = (quality_figures.table_of(iter(given), metric) for metric in quality_figures.TOLD[::-1])
    (head, recalls), (_, ndcgs) = both
    cells = [
        [one[0], *(f"{recall} / {ndcg}" for recall, ndcg in zip(one[5:], other[5:], strict=True))]
        for one, other in zip(recalls, ndcgs, strict=True)
    ]
    return table([head[0], *head[5:]], cells)


def fold_in() -> str:
    """Quality after the first interactions of a user."""
    names = {"strangers": "new users", "known": "known users"}
    columns = ("popular", "not_folded_in", "folded_in", "trained_anew")
    rows = [
        [str(row["interactions"]), names[row["users"]], *(f"{row[column]:.3f}" for column in columns)]
        for row in result("fold_in")["rows"]
    ]
    return table(["k", "users", "popular", "not folded in", "folded in", "trained again with them"], rows)


def search() -> str:
    """Best 100 for one user and for batches of 64, by size of the catalogue."""
    head = ["items", "baseline, ms", "vector and pass, ms", "ratio", "whole answer, ms", "ratio"]
    rows = result("scoring")["rows"]
    one = [_searched(row, "scoring", "answer", "") for row in rows]
    many = [_searched(row, "scoring_64", "answer_64", ", batches of 64") for row in rows]
    return table(head, [*one, *many])


def service() -> str:
    """Requests a second and latency over HTTP, by size of the catalogue and connections."""
    head = ["items", "connections", "Flask, 1/s", "plain, 1/s", "ours, 1/s", "ours to plain"]
    head += ["plain p50, ms", "p50, ms", "p99, ms", "load"]
    columns = ("plain_p50_ms", "service_p50_ms", "service_p99_ms", "load_average")
    rows = [
        [
            f"{row['items']:,}",
            str(row["connections"]),
            *(_shown(row, f"{name}_rps", ",.0f") for name in ("flask", "plain", "service")),
            _times(row["ratio"]) if "ratio" in row else MISSING,
            *(_shown(row, column, ",.1f") for column in columns),
        ]
        for row in result("whole")["rows"]
        if "connections" in row
    ]
    return table(head, rows)


def half_load() -> str:
    """Latency over HTTP of requests that arrive evenly, each side at half of its own best rate."""
    head = ["items", "plain p50, ms", "plain p99, ms", "p50, ms", "p99, ms", "load"]
    columns = ("plain_p50_at", "plain_p99_at", "service_p50_at", "service_p99_at")
    rows = [
        [
            f"{row['items']:,}",
            *(_shown(row, f"{column}_half_load_ms", ",.1f") for column in columns),
            _shown(row, "load_average", ",.1f"),
        ]
        for row in result("whole")["rows"]
        if "connections" not in row
    ]
    return table(head, rows)


def trainings() -> str:
    """A full training by the service's defaults, by size: seconds of its longest stages, memory, bytes."""
    head = ["interactions", "threads", "training, s", "CPU s", "of it LightFM's epochs", "peak, GiB", "artifact, MiB"]
    columns = ("full_s", "full_cpu_s", "epochs_s", "peak_gib", "artifact_mib")
    return table(
        head,
        [
            [f"{row['interactions']:,}", str(row["threads"]), *(_figures(row[column]) for column in columns)]
            for row in _rows("training")
            if "full_s" in row
        ],
    )


def peer_trainings() -> str:
    """A full training against those of other libraries."""
    head = ["interactions", "model", "training, s", "CPU s", "ndcg@10", "recall@10"]
    return table(
        head,
        [
            [
                f"{row['world']}, {row['interactions']:,}",
                row["model"],
                f"{row['fit_s']:,.0f}",
                f"{row['fit_cpu_s']:,.0f}",
                f"{row['ndcg@10']:.4f}",
                f"{row['recall@10']:.4f}",
            ]
            for row in _rows("peer_trainings")
        ],
    )


def turnover() -> str:
    """Sizes over a year, with forgetting and without."""
    head = ["week", "forget", "users", "items", "interactions", "artifact, KiB", "archive, KiB", "store records"]
    return table(
        head,
        [
            [
                str(row["week"]),
                row["forget"],
                *(f"{row[name]:,}" for name in ("model_users", "model_items", "interactions")),
                *(f"{row[name] / 1024:,.0f}" for name in ("artifact_bytes", "archive_bytes")),
                f"{row['stored_users'] + row['stored_items'] + row['deletion_notes']:,}",
            ]
            for row in _rows("turnover")
            if row["week"] in (4, 12, 28, 44, 52)
        ],
    )


def soak() -> str:
    """What a soak saw, and what grew in it."""
    run = result("soak")
    grown = {name: " and ".join(f"{value:,.0f}" for value in values) for name, values in run["growth"].items()}
    return (
        f"`make soak MINUTES={run['minutes']:.0f}`: {len(run['faults'])} processes killed, {run['models']} models,\n"
        f"{run['requests']:,} requests: {len(run['failed'])} failed, {run['refused']} refused, "
        f"{run['sent_again']} sent again.\n"
        f"Medians of the second and of the last quarter: memory {grown['pss_mb']} MB,\n"
        f"open files {grown['descriptors']}, objects in the object store {grown['objects']},\n"
        f"references to them {grown['references']}, p99 {grown['p99_ms']} ms.\n"
    )


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


TABLES: dict[str, Callable[[], str]] = {
    "small": small,
    "baselines": baselines,
    "all": all_results,
    "facts": facts,
    "fold_in": fold_in,
    "search": search,
    "service": service,
    "half_load": half_load,
    "trainings": trainings,
    "peer_trainings": peer_trainings,
    "turnover": turnover,
    "soak": soak,
    "quality_own": quality_own,
    "quality_given": quality_given,
}


def filled(page: str) -> str:
    """Page with its tables as the JSON has them."""
    return _BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", page)


def _rows(name: str) -> list[dict[str, Any]]:
    """Rows of a benchmark; none where it was not run yet."""
    rows: list[dict[str, Any]] = result(name)["rows"] if (RESULTS / f"{name}.json").exists() else []
    return rows


def _shown(row: dict[str, Any], key: str, how: str) -> str:
    """A figure, or a dash where it was not measured."""
    return format(row[key], how) if key in row else MISSING


def _searched(row: dict[str, Any], scoring: str, answer: str, how: str) -> list[str]:
    return [
        f"{row['items']:,}{how}",
        _figures(row["original_ms"]),
        _figures(row[f"{scoring}_ms"]),
        _times(row[f"{scoring}_ratio"]),
        _figures(row[f"{answer}_ms"]),
        _times(row[f"{answer}_ratio"]),
    ]


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
