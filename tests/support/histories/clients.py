"""Clients with a seed: what they ask, of whom, and the record of it. They know the contract and nothing else."""

from __future__ import annotations

import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from tests.support.histories.history_checker import UNLIKING
from tests.support.histories.recorded import (
    Activated,
    Appended,
    History,
    ItemChanged,
    Outcome,
    ReadBack,
    Recommended,
    Row,
    UserDeleted,
)

N_GROUPS = 4
N_USERS, N_ITEMS = 60, 60
FIRST_S = 1_720_000_000.0
"""Timestamps from here on are those of clients."""
BULK = 200
T = TypeVar("T")
Page = tuple[list[Row], str | None]


class Refused(Exception):  # noqa: N818 (an answer, no fault)
    """The service has certainly not done it."""


class Unanswered(Exception):  # noqa: N818 (the same)
    """The service may have done it, or not."""


class Answer(NamedTuple):
    """What of a recommendation matters here."""

    items: tuple[str, ...]
    version: str
    degraded: tuple[str, ...]


class Service(Protocol):
    """What clients ask; every method may raise `Refused` or `Unanswered`."""

    async def append(self, rows: Sequence[Row]) -> None:
        """Send interactions, each with its timestamp as its event id."""

    async def recommend(self, user_id: str, k: int) -> Answer:
        """Ask for a list."""

    async def interactions(self, user_id: str, cursor: str | None, limit: int) -> Page:
        """Ask for a page; no rows for a user without any."""

    async def put_item(self, item_id: str, *, available: bool) -> None:
        """Put an item with the features of its group."""

    async def delete_item(self, item_id: str) -> None:
        """Delete an item."""

    async def delete_user(self, user_id: str) -> None:
        """Erase a user."""

    async def activate(self, version: str | None) -> None:
        """Choose a version, or the latest."""


def group_of(an_id: str) -> str:
    """Taste group of an item or a user, which its number says, as in the world of taste groups."""
    return f"g{int(an_id[1:]) % N_GROUPS}"


class Client:
    """One who does one thing after the other.

    Parameters
    ----------
    name
        A number below `n_clients`; no two clients write for one user.
    now
        Clock of the history.
    """

    def __init__(
        self,
        service: Service,
        history: History,
        chance: random.Random,
        now: Callable[[], float],
        name: int = 0,
        n_clients: int = 1,
    ) -> None:
        self._service, self._history, self._chance, self._now = service, history, chance, now
        self._name, self._n_clients = name, n_clients
        self._serial = itertools.count()
        self._unanswered: list[tuple[Row, ...]] = []

    def actions(self) -> dict[Callable[[], Awaitable[None]], int]:
        """What it may do next, and how often in proportion."""
        return {
            self.like: 30,
            self.hide: 12,
            self.repeat: 8,
            self.read_back: 12,
            self.change_item: 8,
            self.return_item: 3,
            self.delete_user: 3,
            self.load_in_bulk: 2,
            self.send_again: 10,
        }

    async def step(self) -> None:
        """One thing, and often a look at what came of it."""
        actions = self.actions()
        [action] = self._chance.choices(list(actions), list(actions.values()))
        await action()

    async def like(self) -> None:
        """Like some items of the user's own group."""
        user_id = self._user()
        await self.append(
            [self._row(user_id, self._item(group_of(user_id))) for _ in range(self._chance.randint(1, 4))]
        )
        await self.recommend(user_id)

    async def hide(self) -> None:
        """Say something against items of one group, of which nothing more may come for it."""
        user_id, group = self._user(), f"g{self._chance.randrange(N_GROUPS)}"
        await self.recommend(user_id)
        event = self._chance.choice(UNLIKING)
        await self.append([self._row(user_id, self._item(group), event) for _ in range(self._chance.randint(1, 4))])
        await self.recommend(user_id)

    async def repeat(self) -> None:
        """Play one item again and again."""
        user_id = self._user()
        item_id = self._item(group_of(user_id))
        await self.append([self._row(user_id, item_id, "play") for _ in range(3)])
        await self.read_back(user_id)

    async def read_back(self, user_id: str | None = None, *, writing: bool = True) -> None:
        """Read all of a user's interactions, while new ones come in between the pages."""
        user_id = user_id or self._user()
        began, cursor, rows = self._now(), None, list[Row]()
        outcome: Outcome = "done"
        while True:
            limit = self._chance.randint(2, 7) if writing else 200
            page = await self._asked(self._service.interactions(user_id, cursor, limit))
            if not isinstance(page, tuple):
                outcome = page
                break
            rows, cursor = [*rows, *page[0]], page[1]
            if cursor is None:
                break
            if writing and self._chance.random() < 0.3:
                await self.append([self._row(user_id, self._item(group_of(user_id)))])
        own = tuple(row for row in rows if row.timestamp >= FIRST_S)
        self._history.add(ReadBack(began=began, ended=self._now(), outcome=outcome, user_id=user_id, rows=own))

    async def change_item(self) -> None:
        """Put, withdraw or delete an item."""
        item_id, chance = self._item(f"g{self._chance.randrange(N_GROUPS)}"), self._chance.random()
        if chance < 0.3:
            await self._change(item_id, self._service.delete_item(item_id), available=False)
        else:
            available = chance < 0.5
            await self._change(item_id, self._service.put_item(item_id, available=available), available=available)
        await self.recommend(f"u{item_id[1:]}", 60)

    async def return_item(self) -> None:
        """Put an item that was withdrawn."""
        gone = [each.item_id for each in self._history.of(ItemChanged) if not each.available]
        if gone:
            item_id = self._chance.choice(gone)
            await self._change(item_id, self._service.put_item(item_id, available=True), available=True)

    async def delete_user(self) -> None:
        """Erase a user, and look whether anything is left."""
        user_id = self._user()
        began = self._now()
        outcome = await self._outcome(self._service.delete_user(user_id))
        self._history.add(UserDeleted(began=began, ended=self._now(), outcome=outcome, user_id=user_id))
        await self.read_back(user_id)

    async def load_in_bulk(self) -> None:
        """Send the interactions of many users at once."""
        users = [self._user() for _ in range(BULK)]
        await self.append([self._row(user_id, self._item(group_of(user_id))) for user_id in users])

    async def send_again(self) -> None:
        """Repeat what was not answered."""
        if self._unanswered:
            await self.append(self._unanswered.pop())

    async def choose(self, version: str | None) -> None:
        """Roll back, or forward."""
        began = self._now()
        outcome = await self._outcome(self._service.activate(version))
        self._history.add(Activated(began=began, ended=self._now(), outcome=outcome, version=version))

    async def send_all_again(self) -> None:
        """Repeat what was not answered until nothing is left of it."""
        while self._unanswered:
            await self.send_again()

    async def look_at_all(self) -> None:
        """Look at everything that it wrote for."""
        users = {row.user_id for call in self._history.of(Appended) for row in call.rows}
        for user_id in sorted(each for each in users if self._is_mine(each)):
            await self.recommend(user_id, 60)
            await self.read_back(user_id, writing=False)

    async def append(self, rows: Sequence[Row]) -> None:
        """Send interactions."""
        began = self._now()
        outcome = await self._outcome(self._service.append(rows))
        if outcome == "unknown":
            self._unanswered.append(tuple(rows))
        self._history.add(Appended(began=began, ended=self._now(), outcome=outcome, rows=tuple(rows)))

    async def recommend(self, user_id: str, k: int = 20) -> None:
        """Ask for a list."""
        began = self._now()
        answer = await self._asked(self._service.recommend(user_id, k))
        record = {"began": began, "ended": self._now(), "user_id": user_id, "wanted": k}
        if isinstance(answer, Answer):
            self._history.add(Recommended(**record, **answer._asdict()))  # type: ignore[arg-type]
        else:
            self._history.add(Recommended(**record, outcome=answer))  # type: ignore[arg-type]

    async def _change(self, item_id: str, asked: Awaitable[None], *, available: bool) -> None:
        began = self._now()
        outcome = await self._outcome(asked)
        self._history.add(
            ItemChanged(began=began, ended=self._now(), outcome=outcome, item_id=item_id, available=available)
        )

    async def _asked(self, asked: Awaitable[T]) -> T | Outcome:
        try:
            return await asked
        except Refused:
            return "refused"
        except Unanswered:
            return "unknown"

    async def _outcome(self, asked: Awaitable[None]) -> Outcome:
        return await self._asked(asked) or "done"

    def _user(self) -> str:
        """Somebody of the world, or a stranger; popular ones more often."""
        number = int(self._chance.random() ** 2 * 2 * N_USERS)
        own = number // (N_GROUPS * self._n_clients) * self._n_clients + self._name
        return f"u{own * N_GROUPS + number % N_GROUPS}"

    def _is_mine(self, user_id: str) -> bool:
        return int(user_id[1:]) // N_GROUPS % self._n_clients == self._name

    def _item(self, group: str) -> str:
        """An item of the world, or one that nobody has put."""
        number = int(self._chance.random() ** 2 * (N_ITEMS + 8))
        return f"i{number - number % N_GROUPS + int(group[1:])}"

    def _row(self, user_id: str, item_id: str, event: str | None = None) -> Row:
        # half of them are older than what was sent before
        serial = next(self._serial) * 8 + self._name
        at = FIRST_S + (serial if serial % 16 < 8 else 10_000_000 - serial)
        return Row(user_id, item_id, self._chance.choice([1.0, 1.0, 2.0]), at, event)
