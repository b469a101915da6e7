"""Shown: what users were recommended last, to see whether they take it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec
from cachetools import TTLCache

KEPT_BYTES, KEPT_S = 16 * 2**20, 1_800.0
"""Answers are remembered up to this size together, the oldest go first, and for so long."""


class AttributedInteraction(NamedTuple):
    """An interaction of a user who was shown something."""

    model_version: str
    hit: bool


class _Item(msgspec.Struct):
    item_id: str


class _Answer(msgspec.Struct):
    model_version: str
    items: list[_Item]


_decoder = msgspec.json.Decoder(_Answer)


class ImpressionCache:
    """The last answer to each user, as it went out, in bounded memory.

    Remembering costs no look into the answer; that is taken when its user does something.

    Parameters
    ----------
    clock
        Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._answers: TTLCache[str, bytes] = TTLCache(KEPT_BYTES, KEPT_S, clock, len)

    def remember(self, user_id: str | None, answer: bytes) -> None:
        """Keep the JSON of an answer in place of the one before; of nobody, none."""
        if user_id is not None and len(answer) <= KEPT_BYTES:
            self._answers[user_id] = answer

    def forget(self, user_id: str) -> None:
        """Keep nothing of a user."""
        self._answers.pop(user_id, None)

    def taken(self, user_id: str, item_id: str) -> AttributedInteraction | None:
        """Which version answered the user last, and whether the item was in the answer; None for no answer."""
        return next(self.taken_by_each([(user_id, item_id)]))

    def taken_by_each(self, interactions: Iterable[tuple[str, str]]) -> Iterator[AttributedInteraction | None]:
        """`taken` of each user and item; an answer is looked into once, however many are of its user."""
        opened: dict[str, tuple[str, frozenset[str]] | None] = {}
        for user_id, item_id in interactions:
            if user_id not in opened:
                opened[user_id] = self._opened(user_id)
            answer = opened[user_id]
            yield answer and AttributedInteraction(answer[0], item_id in answer[1])

    def _opened(self, user_id: str) -> tuple[str, frozenset[str]] | None:
        """Version and items of the last answer."""
        answer = self._answers.get(user_id)
        if answer is None:
            return None
        shown = _decoder.decode(answer)
        return shown.model_version, frozenset(item.item_id for item in shown.items)
