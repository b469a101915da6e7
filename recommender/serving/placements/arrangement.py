"""Arrangement: rules solved on a ranked list. Numbers in, numbers out; it knows neither items nor features.

Positions are filled from the first to the last. Each gets the best candidate that is left, unless a rule says
otherwise; rules that cannot all be kept give way in this order: promote, limit, pin.

* A pinned candidate stands at its position whatever else holds, and counts for the other rules.
* No candidate goes where it would make a value appear more often than a limit allows in a window, pins ahead included.
* Buried candidates come when all others are used up or stand against a limit.
* A promoted share is due evenly: candidate number ``j`` that fits by position ``ceil(j / share)``, and at the end
  ``ceil(share · k)`` of them. A position is left to rank as long as every share can still be met in time; where not
  (earliest deadline first [1]_), it gets the best candidate that fits a share that is due.

References
----------
.. [1] C. Liu, J. Layland, Scheduling Algorithms for Multiprogramming in a Hard-Real-Time Environment, 1973.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable, Mapping, Sequence
from itertools import accumulate
from math import ceil, inf
from typing import NamedTuple

from recommender.schema import RuleName

_ROUNDING = 1e-9


class Promotion(NamedTuple):
    """Share of the positions that is for candidates that fit."""

    share: float
    fits: Sequence[bool]
    """By candidate."""


class WindowLimit(NamedTuple):
    """Bound on how often a value stands in a window of neighbouring positions."""

    at_most: int
    within: int
    values: Sequence[Sequence[Hashable]]
    """By candidate: what it has of the feature."""


class Rules(NamedTuple):
    """Rules about the candidates of one list."""

    pins: Mapping[int, int] = {}
    """Position, from 1, to candidate; the candidates are in the ranked list or behind it."""
    promotions: Sequence[Promotion] = ()
    limits: Sequence[WindowLimit] = ()
    buried: Sequence[bool] = ()
    """By candidate; empty for none."""


class Arrangement(NamedTuple):
    """Candidates in the order in which they are shown."""

    order: list[int]
    names: dict[int, RuleName]
    """By candidate, the rule because of which it stands where it does."""
    lacking: list[int]
    """Promotions that were due where no candidate was left that fits and that the limits allow."""
    blocked: bool
    """Whether a position went to a buried candidate, or the list ended, because no other was left for it."""
    ended: bool
    """Whether no candidate was left for a position."""


def arrange(n: int, k: int, rules: Rules) -> Arrangement:
    """Fill `k` positions from ranked candidates.

    Parameters
    ----------
    n
        Candidates are 0 to n - 1, best first.
    k
        Wanted length.
    rules
        What must hold.

    Returns
    -------
    At most `k` distinct candidates; fewer only where no other is left that the limits allow. Pins behind the end of
    the list follow it in their order, also those behind `k`, as far as there is room. Costs O(k · n) comparisons at
    worst, O(k) where rules seldom bind.
    """
    return _Arranger(n, k, rules).run()


def due_positions(share: float, k: int) -> list[int]:
    """Positions by which each further fitting candidate is due, rising."""
    total = ceil(share * k - _ROUNDING)
    return [min(k, ceil(number / share - _ROUNDING)) for number in range(1, total + 1)]


class _Arranger:
    """State of a list that is being filled."""

    def __init__(self, n: int, k: int, rules: Rules) -> None:
        self._k, self._promotions = k, rules.promotions
        self._pins = {position: each for position, each in sorted(rules.pins.items()) if position <= k}
        self._later = [each for position, each in sorted(rules.pins.items()) if position > k]
        pinned = set(rules.pins.values())
        buried = rules.buried or [False] * n
        free = [each for each in range(n) if each not in pinned]
        self._left = [each for each in free if not buried[each]]
        self._last = [each for each in free if buried[each]]
        self._limits = [_Limited(limit, self._pins) for limit in rules.limits]
        self._deadlines = _Deadlines(k, rules.promotions, self._pins)
        self._deferred: set[int] = set()
        self._lacking: set[int] = set()
        self._blocked = False

    def run(self) -> Arrangement:
        order: list[int] = []
        names: dict[int, RuleName] = {}
        ended = False
        for position in range(1, self._k + 1):
            pinned = self._pins.pop(position, None)
            chosen = self._choose(position) if pinned is None else (pinned, "pin")
            if chosen is None:
                ended = True
                break
            order.append(chosen[0])
            if chosen[1] is not None:
                names[chosen[0]] = chosen[1]
        for pinned in [*self._pins.values(), *self._later][: self._k - len(order)]:
            order.append(pinned)
            names[pinned] = "pin"
        return Arrangement(order, names, sorted(self._lacking), self._blocked, ended)

    def _choose(self, position: int) -> tuple[int, RuleName | None] | None:
        """Candidate of a free position, and the rule that put it there."""
        chosen = self._promoted(position) or self._by_rank(position) or self._buried(position)
        if chosen is not None:
            self._deadlines.serve(chosen[0])
            for limit in self._limits:
                limit.note(chosen[0], position)
        return chosen

    def _promoted(self, position: int) -> tuple[int, RuleName | None] | None:
        """Best candidate for a share that is due; it is named where another would stand here by rank."""
        due = self._deadlines.due_at(position)
        is_best = True
        for candidate in self._left if due else ():
            if not self._allows(candidate, position):
                continue
            if any(self._promotions[number].fits[candidate] for number in due):
                self._left.remove(candidate)
                return candidate, self._name(candidate) if is_best else "promote"
            is_best = False
        self._lacking.update(due)
        return None

    def _by_rank(self, position: int) -> tuple[int, RuleName | None] | None:
        for candidate in self._left:
            if self._allows(candidate, position):
                self._left.remove(candidate)
                return candidate, self._name(candidate)
            self._deferred.add(candidate)
        self._blocked = True
        return None

    def _buried(self, position: int) -> tuple[int, RuleName | None] | None:
        for candidate in self._last:
            if self._allows(candidate, position):
                self._last.remove(candidate)
                return candidate, "bury"
        return None

    def _allows(self, candidate: int, position: int) -> bool:
        return not self._limits or all(limit.allows(candidate, position) for limit in self._limits)

    def _name(self, candidate: int) -> RuleName | None:
        return "limit" if candidate in self._deferred else None


class _Limited:
    """Positions of each value of a limited feature."""

    def __init__(self, limit: WindowLimit, pins: Mapping[int, int]) -> None:
        self._at_most, self._within, self._values = limit
        self._positions: dict[Hashable, list[int]] = {}
        for position, candidate in pins.items():
            self.note(candidate, position)

    def allows(self, candidate: int, position: int) -> bool:
        """Whether no window with this position would have more of a value than it may."""
        taken = self._positions
        return all(value not in taken or self._fits(taken[value], position) for value in self._values[candidate])

    def note(self, candidate: int, position: int) -> None:
        for value in self._values[candidate]:
            insort(self._positions.setdefault(value, []), position)

    def _fits(self, taken: Sequence[int], position: int) -> bool:
        if len(taken) < self._at_most:
            return True
        place = bisect_left(taken, position)
        with_it = [*taken[:place], position, *taken[place:]]
        ends = zip(with_it, with_it[self._at_most :], strict=False)
        return not any(first <= position <= last and last - first < self._within for first, last in ends)


class _Deadlines:
    """Positions by which promoted shares that are still open have to be served."""

    def __init__(self, k: int, promotions: Sequence[Promotion], pins: Mapping[int, int]) -> None:
        self._promotions = promotions
        self._open = [due_positions(each.share, k) for each in promotions]
        self._free = list(accumulate((position not in pins for position in range(1, k + 1)), initial=0))
        """How many positions up to each are not pinned."""
        for position, candidate in pins.items():
            self._take(candidate, position)
        self._latest = self._latest_start()

    def due_at(self, position: int) -> list[int]:
        """Promotions of which this position has to serve one, or a deadline is missed; none while there is time."""
        before = self._free[position - 1]
        if before < self._latest:
            return []
        ranked = self._sorted()
        missed = next(
            deadline for count, (deadline, _) in enumerate(ranked, start=1) if before >= self._free[deadline] - count
        )
        return sorted({number for deadline, number in ranked if deadline <= max(missed, position)})

    def serve(self, candidate: int) -> None:
        """Note that a candidate stands at the next free position."""
        if self._take(candidate, 0):
            self._latest = self._latest_start()

    def _take(self, candidate: int, position: int) -> bool:
        """Close the first deadline from a position on of each promotion that a candidate fits."""
        taken = False
        for own, promotion in zip(self._open, self._promotions, strict=True):
            place = bisect_left(own, position)
            if place < len(own) and promotion.fits[candidate]:
                del own[place]
                taken = True
        return taken

    def _latest_start(self) -> float:
        """How many free positions may be filled by rank alone before a deadline cannot be met any more."""
        return min((self._free[deadline] - count for count, (deadline, _) in enumerate(self._sorted(), 1)), default=inf)

    def _sorted(self) -> list[tuple[int, int]]:
        return sorted((deadline, number) for number, own in enumerate(self._open) for deadline in own)
