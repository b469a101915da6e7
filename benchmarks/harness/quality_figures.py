"""Quality figures: what `recommender evaluate --json` printed, kept in docs/quality.json, and the tables made of them.

``recommender evaluate … --json | python -m benchmarks.harness.quality_figures COMMIT "evaluate …"`` adds an evaluation,
or puts it in the place of the one with the same command.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

QUALITY = Path(__file__).parents[2] / "docs" / "quality.json"
ALL = "all items"
OURS = "ours"
CONTENDERS = (OURS, "ease", "als", "ials", "slim", "itemknn", "bpr", "popularity")
"""In the order of the columns."""
TOLD = ("ndcg", "recall")
"""Metrics that are kept."""
_KEPT = ("dataset", "split", "holdout", "pairs", "judged", "seeds", "k", "trials", "settings", "notes")


class Row(NamedTuple):
    """Figures of one data set, split and set of items to choose from."""

    dataset: str
    split: str
    candidates: str
    k: int
    seeds: int
    users: int
    contenders: Mapping[str, Mapping[str, Any]]

    def mean(self, contender: str, metric: str) -> float:
        """Mean of a metric over the seeds."""
        return float(self.contenders[contender]["metrics"][f"{metric}@{self.k}"]["mean"])

    def shown(self, contender: str, metric: str) -> str:
        """``0.461 ± 0.005``, the best of all in bold, ``-`` where it was not run."""
        if contender not in self.contenders:
            return "-"
        interval = self.contenders[contender]["metrics"][f"{metric}@{self.k}"]
        half = "" if interval["high"] is None else f" ± {interval['high'] - interval['mean']:.3f}"
        best = max(f"{self.mean(each, metric):.3f}" for each in self.contenders)
        figure = f"{interval['mean']:.3f}"
        return f"**{figure}**{half}" if figure == best else f"{figure}{half}"


def evaluations() -> list[dict[str, Any]]:
    """All that are kept, each with its command and commit."""
    kept: list[dict[str, Any]] = json.loads(QUALITY.read_text())["evaluations"]
    return kept


def rows() -> Iterator[Row]:
    """Figures of all evaluations, in the order in which they are kept."""
    for evaluation in evaluations():
        for each in evaluation["datasets"]:
            users = min(size["users"] for size in each["judged"])
            for candidates, contenders in each["candidates"].items():
                yield Row(each["dataset"], each["split"], candidates, each["k"], len(each["seeds"]), users, contenders)


def kept_of(printed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is kept of what the command printed: the metrics of lists, costs, and what was chosen."""
    contests = printed.get("datasets", [printed])
    return [
        {name: contest[name] for name in _KEPT}
        | {"candidates": {name: _slim(by_name, contest["k"]) for name, by_name in contest["candidates"].items()}}
        for contest in contests
    ]


def _slim(by_name: Mapping[str, Any], k: int) -> dict[str, Any]:
    metrics = [f"{name}@{k}" for name in TOLD]
    return {
        name: {
            "costs": each["costs"],
            "learned": each.get("learned", []),
            **{part: {metric: each[part][metric] for metric in metrics if metric in each[part]} for part in _PARTS},
        }
        for name, each in by_name.items()
    }


_PARTS = ("metrics", "ours_less_this")


def add(printed: Mapping[str, Any], command: str, commit: str) -> None:
    """Keep an evaluation."""
    own = {"command": f"recommender {command}", "commit": commit, "datasets": kept_of(printed)}
    kept = evaluations() if QUALITY.exists() else []
    places = {each["command"]: place for place, each in enumerate(kept)}
    place = places.get(own["command"], len(kept))
    kept[place : place + 1] = [own]
    QUALITY.write_text(json.dumps({"evaluations": kept}, indent=1) + "\n")


def table_of(found: Iterator[Row], metric: str) -> tuple[list[str], list[list[str]]]:
    """Head and cells of a table: a line for each row, a column for each contender that any of them has."""
    lines = list(found)
    names = [name for name in CONTENDERS if any(name in row.contenders for row in lines)]
    cells = [
        [_named(row.dataset), row.split, row.candidates, str(row.k), str(row.seeds)]
        + [row.shown(name, metric) for name in names]
        for row in lines
    ]
    return ["data set", "held out", "among", "k", "splits", *names], cells


def _named(dataset: str) -> str:
    """Name without the folders it was in."""
    return Path(dataset).name


def _main() -> None:
    commit, command = sys.argv[1:]
    add(json.load(sys.stdin), command, commit)


if __name__ == "__main__":
    _main()
