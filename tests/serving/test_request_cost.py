"""What a call costs, known before it starts."""

import math

from hypothesis import given
from hypothesis import strategies as st

from recommender.schema import (
    LeaderboardRequest,
    PopularRequest,
    Query,
    RankQuery,
    SearchRequest,
    SimilarItemsRequest,
)
from recommender.serving import request_cost

queries = st.builds(
    Query,
    k=st.integers(1, 1000),
    explain=st.booleans(),
    diversity=st.sampled_from([0.0, 0.5]),
    candidates=st.none() | st.just(("a",) * 5_000),
    filter=st.just(()) | st.just(("a:b",)),
)


def test_what_a_page_asks_for_is_light_and_what_a_batch_job_asks_for_is_not():
    page = Query(user_id="u", k=50, explain=True, filter=("genres:Comedy",), diversity=0.3)
    thousand = Query(user_id="u", k=1000, explain=True)

    assert request_cost.is_light([page])
    assert request_cost.is_light([Query(user_id="u")] * 20)
    assert not request_cost.is_light([thousand])
    assert not request_cost.is_light([Query(user_id="u", candidates=tuple(map(str, range(9_500))))] * 10)
    assert request_cost.rank_cost_ms(RankQuery(items=(("a", None),) * 100)) < request_cost.LIGHT_MS
    assert request_cost.rank_cost_ms(RankQuery(items=(("a", None),) * 10_000)) > request_cost.LIGHT_MS


def test_each_thing_that_is_asked_for_costs():
    plain = request_cost.cost_ms(Query(), 1000)
    more = [
        Query(k=100),
        Query(explain=True),
        Query(diversity=0.1),
        Query(exclude=("a",)),
        Query(user_id="u"),
        Query(recent=("a",)),
        Query(shown=("a",)),
        Query(features={"tags": ["a", "b"]}),
        Query(filter=("a:b",)),
        Query(boost=(("a:b", 1.0),)),
    ]

    assert all(request_cost.cost_ms(query, 1000) > plain for query in more)
    assert request_cost.cost_ms(Query(), 1_000_000) > plain


def test_many_values_of_one_name_cost_a_pass_together_and_each_further_name_one_more():
    def filtered(*clauses: str) -> float:
        return request_cost.cost_ms(Query(user_id="u", filter=clauses), 100_000)

    brands = filtered(*(f"brand:{number}" for number in range(65)))

    assert brands < filtered("brand:1") + 1
    assert brands < filtered("brand:1", "colour:red", "size:l", "-brand:2")
    assert filtered("brand:1", "-brand:2") > filtered("brand:1", "brand:2")


@given(st.lists(queries, max_size=30), st.floats(1, 200))
def test_slices_are_all_queries_in_order_and_none_costs_too_much(asked, most_ms):
    cut = list(request_cost.slices(asked, most_ms))

    assert [query for each in cut for query in asked[each]] == asked
    for each in cut:
        own = asked[each]
        assert len(own) == 1 or sum(map(request_cost.cost_ms, own)) <= most_ms + 1e-6


def test_of_read_requests_those_that_need_an_index_or_the_end_of_the_log_cost_more_than_any_limit():
    ranking = RankQuery(items=(("i1", None),), user_id="u")

    assert request_cost.read_cost_ms(ranking, 10) == request_cost.rank_cost_ms(ranking)
    assert request_cost.read_cost_ms(PopularRequest(), 10) < request_cost.read_cost_ms(PopularRequest(), 1_000_000)
    assert request_cost.read_cost_ms(SimilarItemsRequest(item_id="i"), 1_000_000) < math.inf
    for endless in (SearchRequest(text="a"), LeaderboardRequest(name="trending", window_s=60)):
        assert request_cost.read_cost_ms(endless, 10) == math.inf
