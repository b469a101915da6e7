"""Rules on a ranked list against a slow second implementation, and what must hold of every list."""

from math import ceil, floor

from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.serving.placements.arrangement import (
    Arrangement,
    Promotion,
    Rules,
    WindowLimit,
    arrange,
    due_positions,
)

SHARES = [0.1, 0.2, 0.25, 0.3, 0.5, 0.7, 1.0]


def owed(share: float, n: int, k: int) -> int:
    """How many of the first `n` of `k` have to fit."""
    return ceil(round(share * k, 6)) if n == k else floor(round(share * n, 6))


def breaks_a_limit(limits, shown: dict[int, int], candidate: int, position: int) -> bool:
    """Whether any window with this position has too many of a value, counted one by one."""
    placed = {**shown, position: candidate}
    for limit in limits:
        for first in range(position - limit.within + 1, position + 1):
            window = [placed[at] for at in range(first, first + limit.within) if at in placed]
            for value in limit.values[candidate]:
                if sum(value in limit.values[each] for each in window) > limit.at_most:
                    return True
    return False


def slow(n: int, k: int, rules: Rules) -> list[int]:
    """The definition, position by position; every deadline is counted anew for every position."""
    pins = {position: each for position, each in rules.pins.items() if position <= k}
    left = [each for each in range(n) if each not in rules.pins.values()]
    buried = rules.buried or [False] * n
    shown: dict[int, int] = dict(pins)
    order = []
    for position in range(1, k + 1):
        if position not in pins:
            allowed = [each for each in left if not breaks_a_limit(rules.limits, shown, each, position)]
            allowed = [each for each in allowed if not buried[each]] or allowed
            if not allowed:
                break
            due = due_at(position, k, rules, shown, pins)
            fitting = [e for e in allowed if not buried[e] and any(rules.promotions[r].fits[e] for r in due)]
            shown[position] = (fitting or allowed)[0]
            left.remove(shown[position])
        order.append(shown[position])
    return (order + [rules.pins[position] for position in sorted(rules.pins) if position > len(order)])[:k]


def due_at(position: int, k: int, rules: Rules, shown: dict[int, int], pins: dict[int, int]) -> list[int]:
    """Promotions behind the first prefix that would be owed more than it has room for."""
    for end in range(position, k + 1):
        owing = {}
        for number, each in enumerate(rules.promotions):
            # what a prefix was owed and did not get is owed to those behind it
            worst = max(owed(each.share, m, k) - sum(each.fits[shown[at]] for at in shown if at <= m and at in pins)
                        for m in range(end + 1))  # fmt: skip
            served = sum(each.fits[shown[at]] for at in shown if at < position and at not in pins)
            owing[number] = max(0, worst - served)
        room = sum(at not in pins for at in range(position, end + 1))
        if sum(owing.values()) and sum(owing.values()) >= room:
            return [number for number, amount in owing.items() if amount]
    return []


@st.composite
def worlds(draw, most_promotions=2, limits=True, pins=True):
    n = draw(st.integers(0, 14))
    k = draw(st.integers(1, 12))
    flags = st.lists(st.booleans(), min_size=n, max_size=n)
    names = st.lists(st.lists(st.sampled_from("abc"), max_size=2, unique=True), min_size=n, max_size=n)
    promotions = [
        Promotion(draw(st.sampled_from(SHARES)), draw(flags)) for _ in range(draw(st.integers(0, most_promotions)))
    ]
    limited = [
        WindowLimit(draw(st.integers(1, 3)), draw(st.integers(2, 6)), draw(names))
        for _ in range(draw(st.integers(0, 2)) if limits else 0)
    ]
    at = draw(st.dictionaries(st.integers(1, 12), st.integers(0, max(0, n - 1)), max_size=3)) if n and pins else {}
    distinct = {position: each for position, each in at.items() if list(at.values()).count(each) == 1}
    return n, k, Rules(distinct, promotions, limited, draw(st.sampled_from([[], draw(flags)])))


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_the_list_is_that_of_the_definition(world):
    n, k, rules = world

    assert arrange(n, k, rules).order == slow(n, k, rules)


@settings(max_examples=80, deadline=None)
@given(worlds())
def test_nothing_is_shown_twice_and_pins_stand_where_they_should(world):
    n, k, rules = world
    found = arrange(n, k, rules)

    assert len(set(found.order)) == len(found.order) <= k
    if not rules.limits:
        visible = [position for position in rules.pins if position <= k]
        behind = [each for position, each in rules.pins.items() if position > k]
        assert len(found.order) == min(k, n)
        for position in visible:
            if position <= n - len(visible) - len(behind) + 1:
                assert found.order[position - 1] == rules.pins[position]
    assert {each for each, name in found.names.items() if name == "pin"} == {
        each for position, each in rules.pins.items() if position <= k or each in found.order
    }


@settings(max_examples=80, deadline=None)
@given(worlds(most_promotions=1, pins=False))
def test_no_window_has_more_of_a_value_than_it_may(world):
    n, k, rules = world
    order = arrange(n, k, rules).order

    for limit in rules.limits:
        for first in range(len(order)):
            window = [value for each in order[first : first + limit.within] for value in limit.values[each]]
            assert all(window.count(value) <= limit.at_most for value in "abc")


@settings(max_examples=80, deadline=None)
@given(worlds(most_promotions=1, limits=False))
def test_a_share_is_met_evenly_as_far_as_there_are_such_candidates(world):
    n, k, rules = world
    rules = rules._replace(buried=[])
    order = arrange(n, k, rules).order

    for promotion in rules.promotions:
        pinned = [each for each in order if each in rules.pins.values()]
        missed = False
        for m in range(1, len(order) + 1):
            there = sum(promotion.fits[each] for each in order[:m])
            left = sum(
                promotion.fits[each] for each in range(n) if each not in order[:m] and each not in rules.pins.values()
            )
            missed = missed or (there < owed(promotion.share, m, k) and bool(left) and not pinned)
        assert not missed


@settings(max_examples=80, deadline=None)
@given(worlds())
def test_buried_candidates_come_after_all_others(world):
    n, k, rules = world
    rules = rules._replace(limits=[], pins={})
    order = arrange(n, k, rules).order
    flags = [bool(rules.buried) and rules.buried[each] for each in order]

    assert flags == sorted(flags)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 30), st.integers(1, 30))
def test_without_rules_the_list_is_the_ranking(n, k):
    assert arrange(n, k, Rules()) == Arrangement(list(range(min(n, k))), {}, [], blocked=n < k, ended=n < k)


def test_a_promoted_share_is_spread_and_named():
    fits = [False] * 10 + [True] * 10

    found = arrange(20, 10, Rules(promotions=[Promotion(0.2, fits)]))

    assert found.order == [0, 1, 2, 3, 10, 4, 5, 6, 7, 11]
    assert found.names == {10: "promote", 11: "promote"}
    assert due_positions(0.3, 10) == [4, 7, 10]


def test_what_a_limit_holds_back_comes_as_soon_as_it_may_and_is_named():
    values = [["a"], ["a"], ["b"], ["c"], ["d"]]

    found = arrange(5, 5, Rules(limits=[WindowLimit(1, 3, values)]))

    assert found.order == [0, 2, 3, 1, 4]
    assert found.names == {1: "limit"}


def test_a_share_that_cannot_be_met_is_told():
    found = arrange(3, 2, Rules(promotions=[Promotion(0.5, [False] * 3)]))

    assert (found.order, found.lacking) == ([0, 1], [0])


def test_a_thousand_positions_take_a_moment():
    n = 3_000
    fits = [each % 7 == 0 for each in range(n)]
    values = [[str(each % 40)] for each in range(n)]

    found = arrange(n, 1_000, Rules({5: 2_000}, [Promotion(0.3, fits)], [WindowLimit(2, 20, values)]))

    assert len(found.order) == 1_000
