"""A history: what clients asked and were answered, what broke meanwhile, and what was learned in the end.

Every record has the moments at which it began and ended, on one clock of the recorder. Two records of which neither
ended before the other began are concurrent, and may have happened in either order.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar

Outcome = Literal["done", "refused", "unknown"]
"""``refused``: certainly not done. ``unknown``: no answer, or one that leaves it open, as 503 does."""

R = TypeVar("R", bound="Record")


class Row(NamedTuple):
    """An interaction. No two have the same timestamp, which therefore names it wherever it turns up."""

    user_id: str
    item_id: str
    weight: float
    timestamp: float
    event: str | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """Something that took from one moment to another."""

    began: float
    ended: float
    outcome: Outcome = "done"


@dataclass(frozen=True, kw_only=True)
class Appended(Record):
    """Interactions of one call; sent again with the same event ids it is a second record."""

    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class Recommended(Record):
    """A recommendation as it was answered."""

    user_id: str
    items: tuple[str, ...] = ()
    version: str = ""
    degraded: tuple[str, ...] = ()
    wanted: int = 10


@dataclass(frozen=True, kw_only=True)
class ReadBack(Record):
    """All pages of a user's interactions, one behind the other."""

    user_id: str
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, kw_only=True)
class UserDeleted(Record):
    """A user was to be erased."""

    user_id: str


@dataclass(frozen=True, kw_only=True)
class ItemChanged(Record):
    """An item was put or deleted; `available` says whether it may be recommended from then on."""

    item_id: str
    available: bool


@dataclass(frozen=True, kw_only=True)
class Activated(Record):
    """Somebody chose the version that serves; None: the latest again."""

    version: str | None


@dataclass(frozen=True, kw_only=True)
class Published(Record):
    """A version, from the beginning of its training on."""

    version: str
    parent: str | None
    mode: str
    accepted: bool
    learned: Mapping[float, int]
    """Timestamps of the rows in its archive, and how often each is there."""
    at_s: float
    """By a clock that nobody sets."""


@dataclass(frozen=True, kw_only=True)
class StoreLost(Record):
    """The store lost what it took after a moment; all of it when it was emptied."""

    base: str | None
    """Version that learning went on from."""
    since: float = -math.inf


@dataclass(frozen=True, kw_only=True)
class ClockSet(Record):
    """The machine's clock jumped."""

    by_s: float


@dataclass(frozen=True, kw_only=True)
class Disturbed(Record):
    """Any other fault, for whoever reads the history."""

    what: str


@dataclass(frozen=True)
class Ending:
    """What there was once the faults had stopped and the service had been left alone for as long as it may take."""

    archive: Counter[float]
    """Timestamps of the rows that count, and how often each is there."""
    waiting: int


@dataclass
class History:
    """Records in the order in which they ended."""

    records: list[Record] = field(default_factory=list)
    ending: Ending | None = None

    def add(self, record: Record) -> None:
        self.records.append(record)

    def of(self, kind: type[R]) -> Iterator[R]:
        """Records of a kind."""
        return (each for each in self.records if isinstance(each, kind))

    def told(self) -> str:
        """A line for each record, to read what led to a violation."""
        return "\n".join(f"{each.began:8.2f} {each.ended:8.2f}  {each}"[:400] for each in self.records)
