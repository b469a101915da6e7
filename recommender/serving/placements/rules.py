"""Rules of a placement: what is a rule, which of them hold at a time, and which contradict one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations
from math import ceil, inf
from typing import Any

import msgspec

from lightfm_serve.records.values import check_moment, parse_time
from recommender.errors import InvalidRequestError
from recommender.feature_space import clean_token
from recommender.schema import Rule

PARTS = {
    "pin": {"pin", "position"},
    "promote": {"promote", "share"},
    "limit": {"limit", "at_most", "within"},
    "bury": {"bury"},
}
"""Of each kind of rule, what it needs."""
MOST_POSITIONS = 1_000
_ROUNDING = 1e-9


def check_rules(rules: Sequence[Rule], k: int) -> None:
    """Refuse what is no rule, and rules that contradict one another.

    Parameters
    ----------
    rules
        Of one placement.
    k
        Length of its lists.

    Raises
    ------
    InvalidRequestError
        Names the rule and what is wrong with it, or the two that cannot both be kept.
    """
    for number, rule in enumerate(rules):
        _check_rule(rule, f"rule {number + 1} {describe(rule)}")
    for one, other in combinations(rules, 2):
        reason = _overlap(one, other) and _contradiction(one, other, k)
        if reason:
            raise _contradicting(one, other, reason)
    promotions = [rule for rule in rules if rule.promote is not None]
    for number, rule in enumerate(promotions):
        together = [each for each in promotions[:number] if _overlap(each, rule)]
        total = sum(float(each.share or 0) for each in [*together, rule])
        if total > 1 + _ROUNDING:
            reason = f"with what else is promoted their shares come to {total:g} of the positions"
            raise _contradicting(together[-1], rule, reason)


def check_filter(rules: Sequence[Rule], clauses: Sequence[str]) -> None:
    """Refuse a promotion of what the placement's own filter leaves out.

    Raises
    ------
    InvalidRequestError
        Names both.
    """
    forbidden = {clean_token(each[1:]) for each in clauses if each.startswith("-")}
    for rule in rules:
        if rule.promote is not None and clean_token(rule.promote) in forbidden:
            raise InvalidRequestError(f"rule {describe(rule)} contradicts the filter -{rule.promote}")


def active_rules(rules: Sequence[Rule], now: float) -> tuple[Rule, ...]:
    """Rules that hold at a time, in seconds since the epoch: from ``from`` on, up to and without ``until``."""
    return tuple(rule for rule in rules if _start(rule) <= now < _end(rule))


def describe(rule: Rule) -> str:
    """A rule as JSON, as it was written."""
    return msgspec.json.encode(rule).decode()


def kind_of(rule: Rule) -> str:
    """``pin``, ``promote``, ``limit`` or ``bury``.

    Raises
    ------
    InvalidRequestError
        It is none of them, or several.
    """
    kinds = [kind for kind in PARTS if getattr(rule, kind) is not None]
    if len(kinds) != 1:
        raise InvalidRequestError(f"a rule has one of {', '.join(PARTS)}; {describe(rule)} has {len(kinds)}")
    return kinds[0]


def _check_rule(rule: Rule, name: str) -> None:
    kind = kind_of(rule)
    given = {part for part in set().union(*PARTS.values()) if getattr(rule, part) is not None}
    if given != PARTS[kind]:
        wrong = [f"{part} is missing" for part in sorted(PARTS[kind] - given)]
        wrong += [f"{part} does not belong to {kind}" for part in sorted(given - PARTS[kind])]
        raise InvalidRequestError(f"{name}: {', '.join(wrong)}")
    for part, is_valid, what in _BOUNDS:
        value = getattr(rule, part)
        if value is not None and not is_valid(value):
            raise InvalidRequestError(f"{name}: {part} is {what}")
    _check_times(rule, name)


def _check_times(rule: Rule, name: str) -> None:
    for part, text in (("from", rule.from_), ("until", rule.until)):
        try:
            if text is not None:
                check_moment(text)
        except ValueError as error:
            raise InvalidRequestError(f"{name}: {part}: {str(error).replace('{}', repr(text))}") from None
    if _start(rule) >= _end(rule):
        raise InvalidRequestError(f"{name}: from is not before until")


def _contradicting(one: Rule, other: Rule, reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"rule {describe(one)} contradicts rule {describe(other)}: {reason}")


def _is_token(text: str) -> bool:
    name, colon, value = text.partition(":")
    return bool(name and colon and value.strip()) and not name.startswith("-")


def _is_position(value: int) -> bool:
    return 1 <= value <= MOST_POSITIONS


_BOUNDS: Sequence[tuple[str, Callable[[Any], bool], str]] = (
    ("pin", bool, "the id of an item"),
    ("position", _is_position, f"1 to {MOST_POSITIONS}"),
    ("promote", _is_token, "name:value, as in genres:Comedy"),
    ("share", lambda value: 0 < value <= 1, "above 0 and at most 1"),
    ("limit", lambda name: bool(name) and ":" not in name, "the name of a feature, as in brand"),
    ("at_most", _is_position, f"1 to {MOST_POSITIONS}"),
    ("within", _is_position, f"1 to {MOST_POSITIONS}"),
    ("bury", _is_token, "name:value, as in genres:Horror"),
)


def _overlap(one: Rule, other: Rule) -> bool:
    """Whether there is a time at which both hold."""
    return max(_start(one), _start(other)) < min(_end(one), _end(other))


def _contradiction(one: Rule, other: Rule, k: int) -> str | None:
    """Why two rules cannot both be kept; None where they can."""
    found: str | None = None
    if one.pin is not None and other.pin is not None:
        found = _of_pins(one, other)
    elif one.promote is not None and other.promote is not None:
        found = _of_promotions(one, other)
    elif one.limit is not None and other.limit is not None:
        same = one.limit == other.limit and one.within == other.within and one.at_most != other.at_most
        found = f"they give {one.limit} two bounds within {one.within} positions" if same else None
    for rule, second in ((one, other), (other, one)):
        if rule.promote is not None and second.bury is not None and _same(rule.promote, second.bury):
            found = "what is promoted cannot come after all others"
        if rule.promote is not None and second.limit is not None:
            found = _of_promotion_and_limit(rule, second, k)
    return found


def _of_pins(one: Rule, other: Rule) -> str | None:
    if one.position == other.position and one.pin != other.pin:
        return f"position {one.position} has room for one item"
    if one.pin == other.pin and one.position != other.position:
        return "an item is never shown twice"
    return None


def _of_promotions(one: Rule, other: Rule) -> str | None:
    if _same(str(one.promote), str(other.promote)):
        return "they give the same items two shares"
    total = float(one.share or 0) + float(other.share or 0)
    # items may fit both, but that there are such items is nothing to count on
    return f"their shares come to {total:g} of the positions" if total > 1 + _ROUNDING else None


def _of_promotion_and_limit(rule: Rule, limit: Rule, k: int) -> str | None:
    if str(rule.promote).partition(":")[0] != limit.limit:
        return None
    within, at_most = int(limit.within or 1), int(limit.at_most or 1)
    room = k // within * at_most + min(at_most, k % within)
    owed = ceil(float(rule.share or 0) * k - _ROUNDING)
    if owed <= room:
        return None
    return f"of {k} positions {owed} are promoted, and the limit leaves room for {room}"


def _same(one: str, other: str) -> bool:
    return clean_token(one) == clean_token(other)


def _start(rule: Rule) -> float:
    return -inf if rule.from_ is None else _seconds(rule.from_)


def _end(rule: Rule) -> float:
    return inf if rule.until is None else _seconds(rule.until)


@lru_cache(maxsize=4096)
def _seconds(text: str) -> float:
    return parse_time(text)
