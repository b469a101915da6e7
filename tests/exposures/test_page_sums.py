"""Exposures are taken over page by page; how they fall into pages makes no difference to any figure."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.exposures import Ledger
from recommender.exposures.attribution import erase_user
from recommender.exposures.exposure import Exposure, ShownItem
from recommender.exposures.ledger import YOUNG_S
from tests.support.exposures import NOW, entries

TABLES = (
    *("exposures", "items", "cells", "cell_positions", "cell_items", "cell_users", "trials"),
    *("latencies", "experiment_users"),
)

moments = st.sampled_from([NOW - 10 * 86_400.0, NOW])  # few of each, so that many come into one cell
shown_items = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.none() | st.floats(0.1, 1.0)), unique_by=lambda each: each[0], max_size=5
)


@st.composite
def exposures(draw, name: str) -> Exposure:
    items = tuple(ShownItem(each, place, propensity) for place, (each, propensity) in enumerate(draw(shown_items), 1))
    experiment = draw(st.sampled_from([None, "e1"]))
    return Exposure(
        name,
        draw(st.sampled_from([None, "u", "v", "erased"])),
        draw(moments),
        items,
        model_version="1",
        placement=draw(st.sampled_from([None, "home"])),
        experiment=experiment,
        variant=experiment and draw(st.sampled_from(["a", "b"])),
        degraded=draw(st.booleans()),
        latency_s=draw(st.none() | st.floats(0.0001, 100.0)),
    )


@st.composite
def streams(draw) -> list[Exposure]:
    """Some of them come twice."""
    names = draw(st.lists(st.sampled_from("0123456789"), max_size=12))
    return [draw(exposures(name)) for name in names]


def figures(shown: list[Exposure], size: int) -> dict[str, list[tuple[object, ...]]]:
    """All tables, after pages of a size."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.sqlite")
        ledger.add_items({"a": NOW - 2 * YOUNG_S, "b": NOW - YOUNG_S})
        with ledger.transaction() as database:
            erase_user(database, "erased", NOW)
        stream = entries(shown)
        for start in range(0, len(stream), size):
            ledger.add_exposures(stream[start : start + size])
        found = {table: sorted(ledger.read(f"SELECT * FROM {table}"), key=repr) for table in TABLES}  # noqa: S608 (ours)
        ledger.close()
    return found


@given(streams(), st.integers(2, 12))
@settings(max_examples=150, deadline=None)
def test_pages_of_any_size_make_the_same_figures(shown, size):
    assert figures(shown, size) == figures(shown, 1)
