"""Answer cache: answers that are the same for everybody, by the version and the catalogue that they were given from."""

from __future__ import annotations

import secrets
from typing import NamedTuple

import msgspec
from cachetools import LRUCache

from recommender.schema import PopularRequest, Query, SimilarItemsRequest

KEPT_BYTES = 16 * 2**20


class Stand(NamedTuple):
    """What answers are given from: a version, and the newest change of the catalogue that it has."""

    version: str | None
    items_sequence: int


class AnonymousAnswer(msgspec.Struct):
    """Answer to a query of nobody, as far as it is looked into."""

    strategy: str
    case: str
    recommendation_id: str


Asked = Query | PopularRequest | SimilarItemsRequest
_decoder = msgspec.json.Decoder(AnonymousAnswer)


class AnswerCache:
    """Least recently used cache of JSON answers, in bounded memory.

    The stand is part of the key, so that what is found is what would be answered now; an older stand is never asked for
    again, and its answers are dropped in time.

    Parameters
    ----------
    most_bytes
        Size of all answers together.
    """

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._answers: LRUCache[tuple[Asked, Stand], bytes] = LRUCache(most_bytes, len)

    def get(self, asked: Asked, stand: Stand) -> bytes | None:
        """Answer that was kept; None for none."""
        return self._answers.get((asked, stand))

    def put(self, asked: Asked, stand: Stand, answer: bytes) -> None:
        """Keep an answer, unless it is larger than all that is kept may be."""
        if len(answer) <= self._answers.maxsize:
            self._answers[asked, stand] = answer


def is_anonymous(query: Query) -> bool:
    """Whether a query says nothing of who asks, so that all who ask it get the same items."""
    says_nothing = query.user_id is None and query.features is None and not query.recent and query.session_id is None
    # what a placement sets is not looked up here: its rules have times, and it may draw newcomers
    return says_nothing and query.placement is None and not query.explore


def with_new_id(answer: bytes) -> tuple[bytes, AnonymousAnswer]:
    """An answer under a recommendation id of its own, and what it says: no two answers that go out share one."""
    looked_into = _decoder.decode(answer)
    old, new = looked_into.recommendation_id.encode(), secrets.token_hex(16).encode()
    return answer.replace(b'"recommendation_id":"' + old, b'"recommendation_id":"' + new, 1), looked_into
