"""Shown answers: what a client was recommended last, so that interactions name the answer that led to them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from lightfm_serve.client.responses import RecommendationResults, Recommendations

MOST_ANSWERS = 10_000
"""Answers that are remembered; the oldest go first."""
KEPT_S = 1_800.0

_decode, _encode = msgspec.json.decode, msgspec.json.encode


class ShownAnswers:
    """The last answers of a client, by user and item; safe to use from several threads.

    Parameters
    ----------
    clock
        Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: OrderedDict[str, tuple[str, frozenset[str], float]] = OrderedDict()
        self._by_user: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def remember(self, answer: Any) -> None:
        """Remember an answer, when it is one of recommendations for a user."""
        found = answer.results if isinstance(answer, RecommendationResults) else [answer]
        with self._lock:
            for each in found:
                if isinstance(each, Recommendations) and each.user_id is not None:
                    self._add(each.user_id, each)

    def name(self, body: bytes) -> bytes:
        """Body of ``POST /v1/interactions`` whose interactions name the last answer that had their item.

        One that names an answer already stays as it is, and so does one of an item that was not recommended here.
        """
        with self._lock:
            if not self._answers:
                return body
            content = _decode(body)
            for interaction in content["interactions"]:
                if interaction.get("recommendation_id") is None:
                    name = self._last(interaction["user_id"], interaction["item_id"])
                    if name is not None:
                        interaction["recommendation_id"] = name
            return _encode(content)

    def _add(self, user_id: str, answer: Recommendations) -> None:
        items = frozenset(item.item_id for item in answer.items)
        self._answers[answer.recommendation_id] = user_id, items, self._clock()
        self._by_user.setdefault(user_id, []).append(answer.recommendation_id)
        if len(self._answers) > MOST_ANSWERS:
            oldest, (owner, *_) = self._answers.popitem(last=False)
            self._by_user[owner].remove(oldest)
            if not self._by_user[owner]:
                del self._by_user[owner]

    def _last(self, user_id: str, item_id: str) -> str | None:
        oldest = self._clock() - KEPT_S
        for name in reversed(self._by_user.get(user_id, ())):
            _, items, at = self._answers[name]
            if item_id in items and at >= oldest:
                return name
        return None
