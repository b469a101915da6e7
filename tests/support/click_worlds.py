"""Users who click with a probability of their own, shown variants of an experiment: counts after every so many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lightfm_serve.records.assignment import variant_of
from recommender.evaluation.experiment_counts import VariantCounts
from recommender.serving.experiments.experiment import Experiment


class ClickWorld:
    """Users who come at random and again, and click on what a variant shows.

    Parameters
    ----------
    seed
        Of the world.
    rates
        Mean click rate of each variant.
    n_users
        Each with a taste of their own, so that their exposures depend on one another.
    dropped
        By variant, the share of users whose exposures never arrive.
    """

    def __init__(self, seed: int, rates: dict[str, float], n_users: int = 5_000, dropped: float = 0.0) -> None:
        self._chance = np.random.default_rng(seed)
        self._rates, self._n_users, self._dropped, self._seed = rates, n_users, dropped, seed

    def looks(self, experiment: Experiment, total: int, step: int = 100) -> Iterator[dict[str, VariantCounts]]:
        """Counts after every `step` exposures, up to `total`."""
        names = list(self._rates)
        chance, n_users = self._chance, self._n_users
        assigned = [variant_of(f"e{self._seed}", "", str(user), experiment.shares) for user in range(n_users)]
        variants = np.array([names.index(each) for each in assigned])
        lost = (variants == len(names) - 1) & (chance.random(n_users) < self._dropped)
        users = chance.integers(0, n_users, total)
        taste = chance.beta(8.0, 8.0, n_users) * 2
        means = np.array([self._rates[name] for name in names])[variants]
        clicks = chance.random(total) < (means * taste)[users]
        n, h = np.zeros(n_users, np.int64), np.zeros(n_users, np.int64)
        for start in range(0, total, step):
            some = slice(start, start + step)
            np.add.at(n, users[some], ~lost[users[some]])
            np.add.at(h, users[some], clicks[some] & ~lost[users[some]])
            yield {name: counts_of(n[variants == number], h[variants == number]) for number, name in enumerate(names)}


def counts_of(exposures: np.ndarray, hits: np.ndarray, **more: object) -> VariantCounts:
    """Counts of users with so many exposures and hits."""
    return VariantCounts(
        users=int(np.count_nonzero(exposures)),
        exposures=int(exposures.sum()),
        hits=int(hits.sum()),
        exposures_squared=int((exposures**2).sum()),
        hits_squared=int((hits**2).sum()),
        products=int((exposures * hits).sum()),
        answers=int(exposures.sum()),
        **more,  # type: ignore[arg-type]
    )
