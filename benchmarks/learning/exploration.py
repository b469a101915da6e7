"""Exploration in a world where a tenth of the items is new each week, over four weeks.

Three services answer the same simulated users: one that explores nothing, one that gives a share of the positions to
newcomers drawn uniformly, and ours. What counts is how many items of the last four weeks have been found, with at least
`FOUND` clicks, and how many clicks there were at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from random import Random

import numpy as np
import pandas as pd

from benchmarks.harness import report
from recommender.feature_space import Features
from recommender.schema import Query, RecentItem, UserState
from recommender.serving import exploration
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.exploration_trials import FOUND, ExplorationTrials, Trial
from recommender.serving.recommender import Recommender
from recommender.simulation import PositionBasedModel, Simulator, Tastes, Visit
from recommender.simulation.simulator import Click
from recommender.training.full import ModelSettings, TrainingData, fit
from recommender.training.history_tuning import HistorySettings
from recommender.training.snapshot_builder import CatalogueEntry

USERS, ITEMS, WEEKS, SHARE, K = 150, 200, 4, 0.1, 10
SEEDS = (0, 1, 2)
SETTINGS = ModelSettings(no_components=16, epochs=10, min_steps=0, history=HistorySettings(enabled=False))
META = {"log_offset": 0, "items_sequence": 0, "version": "benchmark"}
POLICIES: Mapping[str, float] = {"none": 0.0, "uniform": SHARE, "trials": SHARE}


class World:
    """A service in this process, whose items become more each week.

    Parameters
    ----------
    policy
        One of `POLICIES`.
    seed
        Of everything.
    """

    def __init__(self, policy: str, seed: int) -> None:
        self.policy = policy
        self.clicks = 0
        self._random = Random(seed)  # noqa: S311 (a made-up world)
        self.items: dict[str, Features] = {}
        self.new: set[str] = set()
        self._rows: list[tuple[str, str]] = []
        self._learned = 0
        self._trials: dict[str, list[int]] = {}
        self.taken: Counter[str] = Counter()
        self._tastes = Tastes(seed=seed)
        users = [f"u{number}" for number in range(USERS)]
        self.simulator = Simulator(PositionBasedModel(self._tastes), self._recommend, self._send, users, seed)
        self._add_items(ITEMS)
        self._begin(users, np.random.default_rng(seed))
        self._train()

    def week(self) -> None:
        """New items, then seven days, with a training in the middle and at the end."""
        self.new |= self._add_items(ITEMS // 10)
        self._catalogue_changes()
        for day in range(7):
            self.simulator.day()
            if day in (3, 6):
                self._train()

    def _add_items(self, n: int) -> set[str]:
        names = {f"i{len(self.items) + number}" for number in range(n)}
        for name in sorted(names):
            genres = self._random.sample([f"g{number}" for number in range(8)], 2)
            self.items[name] = {"genres": genres}
            self._tastes.add_item(name, self.items[name])
        return names

    def _begin(self, users: list[str], random: np.random.Generator) -> None:
        """A history of before: each user has taken what they like of twenty items."""
        names = list(self.items)
        for user in users:
            some = [names[place] for place in random.choice(len(names), 20, replace=False)]
            likes = self._tastes.affinities(user, some)
            self._rows += [(user, name) for name, liking in zip(some, likes, strict=True) if liking > 1.0]

    def _train(self) -> None:
        frame = pd.DataFrame(self._rows, columns=["user_id", "item_id"])
        frame = frame.assign(offset=np.arange(1, len(frame) + 1), weight=np.float32(1), timestamp=1e9, event=None)
        entries = [CatalogueEntry(name, features) for name, features in self.items.items()]
        _, snapshot = fit(TrainingData(frame, {}, entries), SETTINGS, {**META, "log_offset": len(frame)})
        assert snapshot is not None
        self._recommender = Recommender(Catalogue(snapshot), POLICIES[self.policy])
        self._recommender._chance = self._random
        self._learned = len(frame)

    def _catalogue_changes(self) -> None:
        changes = [ItemChange(name, self.items[name]) for name in sorted(self.new)]
        self._recommender.catalogue.apply(changes, 1)

    def _recommend(self, user_id: str) -> Visit:
        catalogue = self._recommender.catalogue
        if self.policy == "trials":
            found = {name: Trial(shown, taken) for name, (shown, taken) in self._trials.items()}
            catalogue.trials = ExplorationTrials(found)
        recent = tuple(
            RecentItem(item, self._learned + 1 + place)
            for place, (user, item) in enumerate(self._rows[self._learned :])
            if user == user_id
        )
        answer = self._recommender.recommend(Query(user_id=user_id, k=K), UserState(recent=recent))
        for item in answer.items:
            if item.explored is True:
                self._trials.setdefault(item.item_id, [0, 0])[0] += 1
        return Visit(answer.recommendation_id, [item.item_id for item in answer.items])

    def _send(self, clicks: list[Click]) -> None:
        self.clicks += len(clicks)
        self._rows += [(click.user_id, click.item_id) for click in clicks]
        self.taken.update(click.item_id for click in clicks)
        for click in clicks:
            if click.item_id in self._trials:
                self._trials[click.item_id][1] += 1

    def found(self) -> int:
        """New items with enough clicks."""
        return sum(self.taken[name] >= FOUND for name in self.new)


def simulate(policy: str, seed: int) -> World:
    """Four weeks under a policy."""
    temperature, exploration.TEMPERATURE = exploration.TEMPERATURE, 1e9 if policy == "uniform" else 0.5
    try:
        world = World(policy, seed)
        for _ in range(WEEKS):
            world.week()
    finally:
        exploration.TEMPERATURE = temperature
    return world


def main() -> None:
    """Every policy under every seed."""
    rows = []
    for seed in SEEDS:
        for policy in POLICIES:
            world = simulate(policy, seed)
            visits = world.simulator.book.visits
            discoverable = sum(clicks >= FOUND for clicks in world.taken.values())
            rows.append(
                {
                    "seed": seed,
                    "explore": policy,
                    "new_items": len(world.new),
                    "found": world.found(),
                    "discoverable": discoverable,
                    "clicks": world.clicks,
                    "visits": visits,
                }
            )
            print(rows[-1], flush=True)
    report.write("exploration", SEEDS[0], rows)


if __name__ == "__main__":
    main()
