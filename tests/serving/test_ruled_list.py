"""Rules on the answers of a recommender, against rules on the whole ranking of its catalogue."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.schema import Query, Rule, UserState
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.placements import ruled_list
from recommender.serving.placements.arrangement import Promotion, Rules, WindowLimit, arrange
from recommender.serving.recommender import Recommender
from tests.support.known_worlds import COLD, ITEMS, item_features, shared_snapshot

FRESH = {f"i{number}": {**item_features(f"i{number}"), "brand": f"b{number % 5}"} for number in range(200, 240)}
WORDS = {
    item_id: {
        f"{name}:{value}"
        for name, values in {**item_features(item_id), **FRESH.get(item_id, {})}.items()
        for value in (values if isinstance(values, list) else [values])
    }
    for item_id in [*ITEMS, *COLD, *FRESH]
}
TOKENS = ["group:g0", "group:g1", "tags:t0", "tags:t2", "brand:b1", "brand:b4", "year:7", "none:there"]


@pytest.fixture(scope="module")
def recommender():
    made = Recommender(Catalogue(shared_snapshot()))
    made.catalogue.apply([ItemChange(item_id, features) for item_id, features in FRESH.items()], 1)
    return made


@pytest.fixture(scope="module", autouse=True)
def _small_pools():
    """Pools of next to nothing, so that these small catalogues do not fit into them."""
    before, ruled_list.MORE = ruled_list.MORE, 0
    yield
    ruled_list.MORE = before


def ids(found) -> list[str]:
    return [item.item_id for item in found.items]


def values(item_id: str, name: str) -> tuple[str, ...]:
    return tuple(word for word in WORDS[item_id] if word.startswith(f"{name}:"))


def by_hand(ranking: list[str], pinnable: list[str], k: int, rules: list[Rule]) -> list[str]:
    """Rules on the whole ranking."""
    listed = [*ranking, *(each for each in pinnable if each not in ranking)]
    numbers = {item_id: number for number, item_id in enumerate(listed)}
    buried = [rule.bury for rule in rules if rule.bury]
    found = arrange(
        len(listed),
        k,
        Rules(
            {rule.position: numbers[rule.pin] for rule in rules if rule.pin in pinnable},
            [Promotion(rule.share, [rule.promote in WORDS[i] for i in listed]) for rule in rules if rule.promote],
            [
                WindowLimit(rule.at_most, rule.within, [values(item_id, rule.limit) for item_id in listed])
                for rule in rules
                if rule.limit
            ],
            [bool(WORDS[item_id] & set(buried)) for item_id in listed],
        ),
    )
    return [listed[each] for each in found.order]


RULES = st.tuples(
    st.lists(
        st.builds(Rule, promote=st.sampled_from(TOKENS), share=st.sampled_from([0.2, 0.34, 0.5, 1.0])), max_size=2
    ),
    st.lists(
        st.builds(
            Rule,
            limit=st.sampled_from(["brand", "tags", "group", "year"]),
            at_most=st.integers(1, 2),
            within=st.integers(2, 4),
        ),
        max_size=1,
    ),
    st.lists(st.builds(Rule, bury=st.sampled_from(TOKENS)), max_size=2),
    st.lists(
        st.builds(Rule, pin=st.sampled_from([*ITEMS, *FRESH, "gone"]), position=st.integers(1, 9)),
        max_size=2,
        unique_by=(lambda rule: rule.position, lambda rule: rule.pin),
    ),
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["u3", "u4", "nobody"]),
    st.integers(1, 8),
    RULES,
    st.sampled_from([(), ("group:g0",), ("-tags:t1",)]),
    st.booleans(),
)
def test_a_list_with_rules_is_that_of_the_whole_ranking(recommender, user_id, k, parts, filters, seen):
    rules = tuple(rule for part in parts for rule in part)
    query = Query(user_id=user_id, filter=filters, exclude_seen=seen)
    ranking = ids(recommender.recommend(Query(user_id=user_id, filter=filters, exclude_seen=seen, k=1000)))
    found = recommender.recommend(Query(user_id=user_id, filter=filters, exclude_seen=seen, k=k, rules=rules))

    assert ids(found) == by_hand(ranking, ranking, k, list(rules))
    assert query.k == 10


def test_each_item_says_which_rule_has_put_it_there(recommender):
    rules = (
        Rule(pin="i202", position=2),
        Rule(promote="brand:b1", share=0.25),
        Rule(bury="group:g0"),
        Rule(limit="brand", at_most=1, within=2),
    )
    found = recommender.recommend(Query(user_id="u3", k=8, rules=rules))
    names = {item.item_id: item.rule for item in found.items if item.rule}

    assert names["i202"] == "pin"
    assert found.items[1].item_id == "i202"
    assert "promote" in names.values()
    assert sum("brand:b1" in WORDS[item.item_id] for item in found.items) >= 2


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({}, True),
        ({"filter": ("group:g1",)}, False),
        ({"exclude": ("i202",)}, False),
        ({"candidates": ("i3", "i202")}, True),
        ({"candidates": ("i3", "i5")}, False),
        ({"shown": ("i202",)}, False),
    ],
)
def test_a_pinned_item_is_shown_where_the_request_allows_it(recommender, query, shown):
    found = recommender.recommend(Query(user_id="u3", k=5, rules=(Rule(pin="i202", position=1),), **query))

    assert ("i202" in ids(found)) is shown


def test_a_pinned_item_that_is_gone_or_not_available_leaves_its_position_to_others():
    made = Recommender(Catalogue(shared_snapshot()))
    made.catalogue.apply([ItemChange("i9", {}, available=False)], 1)
    rules = (Rule(pin="i9", position=1), Rule(pin="never", position=2))

    assert ids(made.recommend(Query(user_id="u4", k=5, rules=rules))) == ids(made.recommend(Query(user_id="u4", k=5)))


def test_a_seen_item_is_pinned_only_where_seen_items_are_shown(recommender):
    seen = next(iter(set(ITEMS) - set(ids(recommender.recommend(Query(user_id="u3", k=1000))))))
    rules = (Rule(pin=seen, position=1),)

    assert seen not in ids(recommender.recommend(Query(user_id="u3", k=5, rules=rules)))
    assert ids(recommender.recommend(Query(user_id="u3", k=5, rules=rules, exclude_seen=False)))[0] == seen


def test_positions_of_pins_count_over_pages(recommender):
    rules = (Rule(pin="i202", position=4),)
    first = recommender.recommend(Query(user_id="u3", k=3, rules=rules))
    second = recommender.recommend(Query(user_id="u3", k=3, rules=rules, shown=tuple(ids(first))))

    assert "i202" not in ids(first)
    assert ids(second)[0] == "i202"


def test_rules_hold_with_diversity_boosts_explanations_and_exploration(recommender):
    rules = (Rule(pin="i202", position=1), Rule(promote="brand:b4", share=0.5), Rule(bury="tags:t0"))
    query = Query(
        user_id="u3",
        k=8,
        diversity=0.4,
        boost=(("group:g0", 0.5),),
        explore=0.5,
        explain=True,
        rules=rules,
        placement="home",
    )
    for _ in range(20):
        found = recommender.recommend(query)

        assert found.placement == "home"
        assert ids(found)[0] == "i202"
        assert sum("brand:b4" in WORDS[item_id] for item_id in ids(found)) >= 4
        assert not any("tags:t0" in WORDS[item_id] for item_id in ids(found)[1:])
        assert len(set(ids(found))) == 8
        for item in found.items:
            assert np.isclose(sum(part.contribution for part in item.explanation), item.score, atol=1e-3)


def test_queries_without_rules_are_answered_as_before_beside_those_with_rules(recommender):
    plain = Query(user_id="u4", k=6)
    ruled = Query(user_id="u4", k=6, rules=(Rule(bury="group:g0"),))
    both = recommender.recommend_many([plain, ruled], [UserState(), UserState()])

    assert ids(both[0]) == ids(recommender.recommend(plain))
    assert ids(both[1]) == ids(recommender.recommend(ruled))


def test_an_item_of_which_nothing_is_known_is_shown_where_it_is_pinned():
    made = Recommender(Catalogue(shared_snapshot()))
    made.catalogue.apply([ItemChange("just-put", {"colour": "red"}, "New"), ItemChange("gone", {})], 1)
    made.catalogue.apply([ItemChange("gone", {}, available=False)], 2)
    rules = (Rule(pin="just-put", position=1), Rule(pin="gone", position=2))
    found = made.recommend(Query(user_id="u3", k=4, rules=rules, explain=True))
    filtered = made.recommend(Query(user_id="u3", k=4, rules=rules, filter=("colour:red",)))
    others = made.recommend(Query(user_id="u3", k=4, rules=rules, filter=("-colour:red",)))

    assert (ids(found)[0], found.items[0].rule, found.items[0].case, found.items[0].score) == (
        "just-put",
        "pin",
        "XV",
        0,
    )
    assert "gone" not in ids(found)
    assert ids(filtered) == ["just-put"]
    assert "just-put" not in ids(others)
