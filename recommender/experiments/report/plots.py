"""Plots as SVG that takes its colours from the page, in light and in dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from recommender.experiments.breakdowns import Groups

COLOURS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed", "#64748b", "#0891b2", "#b91c1c")
"""By contender; all have contrast enough on white and on near black."""

INK = "#010203"
"""A colour that nothing else has: the page's own text colour takes its place."""

STYLE = {
    "svg.fonttype": "none",  # text stays text: sharp, small, and found by a search in the page
    "svg.hashsalt": "recommender",  # the same contest gives the same bytes
    "font.family": "sans-serif",
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}


def intervals(rows: Mapping[str, tuple[float, float, float]], label: str) -> str:
    """Mean, low and high of each contender, ours on top."""
    with rc_context(STYLE):
        figure, axes = _empty(0.5 + 0.36 * len(rows))
        for number, (name, (mean, low, high)) in enumerate(rows.items()):
            colour = COLOURS[number % len(COLOURS)]
            axes.plot([low, high], [name, name], color=colour, linewidth=3, alpha=0.4, solid_capstyle="round")
            axes.plot([mean], [name], "o", color=colour, markersize=8)
        axes.invert_yaxis()
        axes.margins(y=0.2)
        axes.set_xlabel(label)
        axes.grid(axis="x", alpha=0.15, color=INK)
        return _svg(figure, f"{label} of each contender with its interval")


def lines(series: Mapping[str, Groups], x_label: str, y_label: str) -> str:
    """A line for each contender over the same groups."""
    with rc_context(STYLE):
        figure, axes = _empty(3.4)
        for number, (name, groups) in enumerate(series.items()):
            axes.plot(
                list(groups),
                list(groups.values()),
                "o-",
                color=COLOURS[number % len(COLOURS)],
                markersize=4,
                label=name,
            )
        _finish(axes, x_label, y_label, len(series))
        axes.tick_params(axis="x", rotation=35)
        return _svg(figure, f"{y_label} by {x_label}")


def bars(series: Mapping[str, Groups], x_label: str, y_label: str) -> str:
    """Bars of all contenders, side by side in each group."""
    names = list(dict.fromkeys(group for groups in series.values() for group in groups))
    width = 0.8 / max(1, len(series))
    with rc_context(STYLE):
        figure, axes = _empty(3.4)
        for number, (name, groups) in enumerate(series.items()):
            at = [index + (number - (len(series) - 1) / 2) * width for index in range(len(names))]
            heights = [groups.get(group, 0.0) for group in names]
            axes.bar(at, heights, width * 0.92, color=COLOURS[number % len(COLOURS)], label=name)
        axes.set_xticks(range(len(names)), names)
        if len(names) == 1:
            axes.set_xlim(-1, 1)
        _finish(axes, x_label, y_label, len(series))
        return _svg(figure, f"{y_label} by {x_label}")


def curve(points: Mapping[float, float], x_label: str, y_label: str) -> str:
    """One line over numbers, from 0 up to 1 on the x axis."""
    with rc_context(STYLE):
        figure, axes = _empty(3.0)
        axes.plot(list(points), list(points.values()), "o-", color=COLOURS[0])
        axes.set_xlim(0, 1.03)
        axes.set_xticks(list(points), [f"{100 * share:g} %" for share in points])
        _finish(axes, x_label, y_label, 1)
        return _svg(figure, f"{y_label} by {x_label}")


def _empty(height: float) -> tuple[Figure, Any]:
    # narrow, so that text is still readable when a phone shrinks it
    figure = Figure(figsize=(4.7, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.subplots()


def _finish(axes: Any, x_label: str, y_label: str, n_series: int) -> None:
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.15, color=INK)
    if n_series > 1:
        axes.figure.legend(loc="outside upper left", ncols=min(3, n_series), frameon=False, fontsize=10)


def _svg(figure: Figure, title: str) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    # the namespaces and addresses of metadata are of no use inside a page
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', rf'\1 role="img" aria-label="{title}"', svg, count=1)
    return _own_ids(svg.replace(INK, "currentColor"), title)


def _own_ids(svg: str, title: str) -> str:
    """Several pictures on one page: the ids of each begin with its own name."""
    own = re.sub(r"\W+", "-", title)
    svg = re.sub(r'\bid="', f'id="{own}-', svg)
    svg = re.sub(r'href="#', f'href="#{own}-', svg)
    return re.sub(r"url\(#", f"url(#{own}-", svg)
