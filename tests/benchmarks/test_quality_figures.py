"""What `recommender evaluate` printed is kept whole where it matters, and shown with the best in bold."""

import json

import pytest

from benchmarks.harness import quality_figures
from benchmarks.harness.quality_figures import add, evaluations, rows, table_of


def interval(mean: float, half: float | None = None) -> dict:
    low, high = (None, None) if half is None else (mean - half, mean + half)
    return {"mean": mean, "low": low, "high": high, "by_seed": [mean]}


def contender(ndcg: float, half: float | None = None) -> dict:
    metrics = {"ndcg@10": interval(ndcg, half), "recall@10": interval(ndcg / 2), "novelty": interval(3.0)}
    return {"costs": {"fit_s": 1.0, "score_us": 2.0}, "learned": [], "metrics": metrics, "ours_less_this": {}}


def printed(**contenders: dict) -> dict:
    judged = [{"users": 90, "pairs": 400}, {"users": 80, "pairs": 410}]
    about = {"dataset": "/somewhere/films", "split": "last", "holdout": 0.2, "pairs": 2000, "judged": judged}
    about |= {"seeds": [0, 1], "k": 10, "trials": 2, "settings": {}, "notes": []}
    return about | {"metrics": {}, "candidates": {"all items": contenders}}


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(quality_figures, "QUALITY", tmp_path / "quality.json")


def test_an_evaluation_is_a_line_with_the_best_in_bold_and_what_was_not_run_is_a_dash():
    add(printed(ours=contender(0.4, 0.01), ease=contender(0.41)), "evaluate films", "c1")
    add(printed(ours=contender(0.3), als=contender(0.2)), "evaluate others", "c1")

    head, cells = table_of(rows(), "ndcg")

    assert head == ["data set", "held out", "among", "k", "splits", "ours", "ease", "als"]
    assert cells[0] == ["films", "last", "all items", "10", "2", "0.400 ± 0.010", "**0.410**", "-"]
    assert cells[1][5:] == ["**0.300**", "-", "0.200"]


def test_an_evaluation_takes_the_place_of_the_one_with_the_same_command():
    for ndcg in (0.4, 0.5):
        add(printed(ours=contender(ndcg)), "evaluate films", f"c{ndcg}")
        add(printed(ours=contender(0.1)), "evaluate others", "c")

    assert [(each["command"], each["commit"]) for each in evaluations()] == [
        ("recommender evaluate films", "c0.5"),
        ("recommender evaluate others", "c"),
    ]
    assert [row.mean("ours", "ndcg") for row in rows()] == [0.5, 0.1]


def test_only_metrics_of_lists_are_kept():
    add(printed(ours=contender(0.4)), "evaluate films", "c1")

    assert "novelty" not in json.dumps(evaluations())
    assert next(rows()).users == 80
