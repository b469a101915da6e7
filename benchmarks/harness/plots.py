"""Plots of what was measured, beside the JSON: latency by catalogue, throughput by connections, memory by replicas."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.harness.report import RESULTS

mpl.rcParams["svg.hashsalt"] = "lightfm-serve"  # the same figures make the same file
OURS, THEIRS = "#0b6e4f", "#b0413e"


def rows_of(name: str) -> list[dict[str, Any]]:
    """Rows of a benchmark that has been run."""
    rows: list[dict[str, Any]] = json.loads((RESULTS / f"{name}.json").read_text())["rows"]
    return rows


def save(figure: Figure, name: str) -> None:
    """Write a plot beside the JSON."""
    figure.savefig(RESULTS / f"{name}.svg", metadata={"Date": None})


def latency(axes: Axes) -> None:
    """One user, by size of the catalogue."""
    rows = [row for row in rows_of("scoring") if "original_ms" in row]
    sizes = [row["items"] for row in rows]
    axes.loglog(sizes, [row["original_ms"] for row in rows], "o-", color=THEIRS, label="the original's path")
    axes.loglog(sizes, [row["answer_ms"] for row in rows], "o-", color=OURS, label="this library")
    axes.loglog(sizes, [row["scoring_ms"] for row in rows], "o:", color=OURS, label="its scoring")
    axes.set(xlabel="items in the catalogue", ylabel="ms for one user's best 100")


def throughput(axes: Axes) -> None:
    """Requests a second over HTTP, by connections; a line a catalogue."""
    rows = [row for row in rows_of("whole") if "connections" in row]
    for size, style in zip(sorted({row["items"] for row in rows}), ("-", "--", ":"), strict=False):
        own = [row for row in rows if row["items"] == size]
        connections = [row["connections"] for row in own]
        for key, colour, name in (
            ("flask_rps", "grey", "Flask"),
            ("plain_rps", THEIRS, "plain"),
            ("service_rps", OURS, "service"),
        ):
            if not all(key in row for row in own):
                continue
            label = f"{name}, {size:,} items"
            axes.loglog(connections, [row[key] for row in own], f"o{style}", color=colour, label=label)
    # room for the legend
    axes.set(xlabel="keep-alive connections", ylabel="requests a second", ylim=(0.3, None))


def memory(axes: Axes) -> None:
    """Memory of the predictors, by how many there are."""
    rows = [row for row in rows_of("broadcast") if "private_mib_each" in row]
    replicas = [row["replicas"] for row in rows]
    snapshot = rows[0]["snapshot_mb"] * 1e6 / 2**20
    copies = [number * (row["private_mib_each"] + snapshot) for number, row in zip(replicas, rows, strict=True)]
    shared = [number * row["private_mib_each"] + snapshot for number, row in zip(replicas, rows, strict=True)]
    axes.plot(replicas, copies, "o-", color=THEIRS, label="if each had a copy")
    axes.plot(replicas, shared, "o-", color=OURS, label="one snapshot, shared")
    axes.set(xlabel="predictor replicas", ylabel="MiB", ylim=(0, None), xticks=replicas)


def replicas(axes: Axes) -> None:
    """Requests a second at 64 connections, by predictors; a line a catalogue."""
    rows = rows_of("replicas")
    for size, style in zip(sorted({row["items"] for row in rows}), ("-", "--", ":"), strict=False):
        own = [row for row in rows if row["items"] == size]
        numbers = [row["predictors"] for row in own]
        axes.plot(numbers, [row["rps"] for row in own], f"o{style}", color=OURS, label=f"{size:,} items")
    axes.set(xlabel="predictor replicas on two cores", ylabel="requests a second", ylim=(0, None), xticks=numbers)


PLOTS: dict[str, Callable[[Axes], None]] = {
    "latency": latency,
    "throughput": throughput,
    "replicas": replicas,
    "memory": memory,
}


def autoscaling() -> None:
    """Load, latency, replicas and failures over time."""
    rows = rows_of("autoscaling")
    seconds = [row["second"] for row in rows]
    figure, (load, times, replicas) = plt.subplots(3, sharex=True, figsize=(6.4, 7), layout="constrained")
    load.plot(seconds, [row["wanted_rps"] for row in rows], "--", color="grey", label="sent")
    load.plot(seconds, [row["ok"] for row in rows], color=OURS, label="answered")
    load.plot(seconds, [row["refused"] + row["failed"] for row in rows], color=THEIRS, label="refused or failed")
    load.set(ylabel="requests a second")
    for key, colour in (("p50_ms", OURS), ("p99_ms", THEIRS)):
        known = [(row["second"], row[key]) for row in rows if row[key] is not None]
        times.semilogy(*zip(*known, strict=True), color=colour, label=key.removesuffix("_ms"))
    times.set(ylabel="ms")
    for name, style in (("Ingress", "-"), ("FeatureFetcher", ":"), ("Predictor", "--")):
        replicas.step(seconds, [row[f"replicas_{name}"] for row in rows], style, color=OURS, label=name)
    replicas.set(xlabel="s", ylabel="replicas", ylim=(0, None))
    for axes in (load, times, replicas):
        finish(axes)
    save(figure, "autoscaling")
    plt.close(figure)


def finish(axes: Axes) -> None:
    """What all have in common."""
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


def main() -> None:
    """Draw them all."""
    autoscaling()
    for name, draw in PLOTS.items():
        figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
        draw(axes)
        finish(axes)
        save(figure, name)
        plt.close(figure)


if __name__ == "__main__":
    main()
