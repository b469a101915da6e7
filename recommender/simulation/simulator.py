"""Simulator: users visit, are shown a list, and click by the click model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from recommender.simulation.book import SimulationBook
from recommender.simulation.click_model import PositionBasedModel


class Visit(NamedTuple):
    """A list that was shown: the name of the answer, and its items, first position first."""

    recommendation_id: str
    items: Sequence[str]


class Click(NamedTuple):
    """A click of a simulated user; `event_id` makes sending it again safe."""

    user_id: str
    item_id: str
    recommendation_id: str
    event_id: str


class Simulator:
    """Lets users visit a service, one after the other.

    Parameters
    ----------
    model
        How they click.
    recommend
        Asks the service for a user's list.
    send
        Sends clicks to it.
    users
        Ids, each of whom visits once a day.
    seed
        Of who clicks, and when.
    book
        Where it is written down.
    """

    def __init__(
        self,
        model: PositionBasedModel,
        recommend: Callable[[str], Visit],
        send: Callable[[Sequence[Click]], None],
        users: Sequence[str],
        seed: int = 0,
        book: SimulationBook | None = None,
    ) -> None:
        self.book = book or SimulationBook()
        self._model, self._recommend, self._send = model, recommend, send
        self._users = list(users)
        self._seed = seed
        self._random = np.random.default_rng(seed)

    def reseed(self, seed: int) -> None:
        """Go on with other visits and clicks; tastes stay."""
        self._seed, self._random = seed, np.random.default_rng(seed)

    def day(self, after_each: Callable[[], None] = lambda: None) -> None:
        """Every user visits once, in random order."""
        for place in self._random.permutation(len(self._users)).tolist():
            self.visit(self._users[place])
            after_each()

    def visit(self, user_id: str) -> int:
        """Show a user a list and let them click; returns how often they did."""
        shown = self._recommend(user_id)
        chances = self._model.probabilities(user_id, shown.items)
        taken = np.flatnonzero(self._random.random(len(chances)) < chances).tolist()
        name = shown.recommendation_id
        clicks = [Click(user_id, shown.items[place], name, f"{self._seed}-{name}-{place}") for place in taken]
        if clicks:
            self._send(clicks)
        self.book.add(name, shown.items, [click.item_id for click in clicks])
        return len(clicks)
