"""Simulated users click as they say they do, and write it down."""

import numpy as np
import pytest

from recommender.simulation import PositionBasedModel, SimulationBook, Simulator, Tastes, Visit

ITEMS = [f"i{number}" for number in range(200)]
FEATURES = {item: {"genre": [f"g{number % 4}"], "number": number} for number, item in enumerate(ITEMS)}


def test_the_same_seed_gives_the_same_tastes_whoever_asks_first():
    one, other = Tastes(FEATURES, seed=1), Tastes(FEATURES, seed=1)
    other.affinities("v", ITEMS[::-1])

    assert (one.affinities("u", ITEMS) == other.affinities("u", ITEMS)).all()
    assert (one.affinities("u", ITEMS) != Tastes(FEATURES, seed=2).affinities("u", ITEMS)).all()


def test_items_with_the_same_features_are_liked_alike_but_not_the_same():
    tastes = Tastes(FEATURES)
    found = np.stack([tastes.affinities(f"u{number}", ITEMS) for number in range(300)])
    alike, unlike = np.corrcoef(found[:, 0], found[:, 4])[0, 1], np.corrcoef(found[:, 0], found[:, 1])[0, 1]

    assert unlike + 0.2 < alike < 0.99


def test_the_later_a_position_the_fewer_clicks():
    model = PositionBasedModel(Tastes(FEATURES), bias=1.0)
    same = ["i1"] * 10

    assert model.probabilities("u", same) == pytest.approx(model.attractions("u", ["i1"])[0] / np.arange(1, 11))
    assert model.probabilities("u", []).shape == (0,)


def simulated(days: int, seed: int = 0) -> tuple[Simulator, list]:
    sent, names = [], iter(range(10**6))
    model = PositionBasedModel(Tastes(FEATURES))

    def recommend(_user_id: str) -> Visit:
        return Visit(f"r{next(names)}", ITEMS[:10])

    simulator = Simulator(model, recommend, sent.extend, [f"u{number}" for number in range(50)], seed)
    for _ in range(days):
        simulator.day()
    return simulator, sent


def test_clicks_are_as_many_as_the_model_says():
    simulator, sent = simulated(days=40)
    model = PositionBasedModel(Tastes(FEATURES))
    expected = 40 * sum(model.probabilities(f"u{number}", ITEMS[:10]).sum() for number in range(50))

    assert simulator.book.visits == 2000
    assert len(sent) == simulator.book.clicks == pytest.approx(expected, rel=0.1)
    assert len({click.event_id for click in sent}) == len(sent)


def test_a_seed_repeats_everything():
    assert simulated(2)[1] == simulated(2)[1] != simulated(2, seed=1)[1]


def test_a_book_says_where_a_service_differs():
    book = SimulationBook()
    book.add("r", ["a", "b"], ["b"])
    right = {"recommendation_id": "r", "items": [{"item_id": "a"}, {"item_id": "b", "interactions": {"click": 1}}]}
    wrong = {"recommendation_id": "r", "items": [{"item_id": "a"}, {"item_id": "b", "interactions": {"click": 2}}]}

    assert book.differences([right, {**wrong, "recommendation_id": "another's"}]) == []
    assert len(book.differences([wrong])) == len(book.differences([])) == 1
    assert book.discoverable(1) == 1
