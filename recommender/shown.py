"""Shown: what users were recommended last, to see whether they take it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from cachetools import TTLCache

KEPT_BYTES, KEPT_S = 16 * 2**20, 1_800.0
"""Answers are remembered up to this size together, the oldest go first, and for so long."""


class Taken(NamedTuple):
    """An interaction of a user who was shown something."""

    model_version: str
    hit: bool


class _Item(msgspec.Struct):
    item_id: str


class _Answer(msgspec.Struct):
    model_version: str
    items: list[_Item]


_decoder = msgspec.json.Decoder(_Answer)


class Shown:
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

    def taken(self, user_id: str, item_id: str) -> Taken | None:
        """Which version answered the user last, and whether the item was in the answer; None for no answer."""
        answer = self._answers.get(user_id)
        if answer is None:
            return None
        shown = _decoder.decode(answer)
        return Taken(shown.model_version, any(item.item_id == item_id for item in shown.items))
