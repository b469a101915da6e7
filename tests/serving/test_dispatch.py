"""Every type of read request, answered by the one function for all of them."""

import asyncio
from typing import get_args

import msgspec
import pytest

from deployments.messages import pack, unpack_request
from recommender.schema import (
    LeaderboardRequest,
    PopularRequest,
    RankQuery,
    ReadRequest,
    SearchRequest,
    SimilarItemsRequest,
    SimilarUsersRequest,
    UserState,
    users_of,
)
from recommender.serving.dispatch import ReadContext, answer_request
from recommender.serving.request_cost import is_heavy, may_take_long
from recommender.serving.trends.leaderboards import Leaderboards
from recommender.serving.trends.log_tail import LogTail
from recommender.stores import MemoryStore
from tests.support.known_worlds import LOG_OFFSET

REQUESTS = [
    RankQuery(user_id="u3", items=(("i1", None), ("i4", {"group": "g1"}))),
    PopularRequest(k=3),
    LeaderboardRequest(name="popular", window_s=3600, k=3),
    SearchRequest(text="i1", k=3),
    SimilarItemsRequest(item_id="i1", k=3),
    SimilarUsersRequest(user_id="u3", k=3),
]


def answer(recommender, request):
    boards = Leaderboards(recommender, LogTail(LOG_OFFSET))

    async def leaderboards():
        return boards, ["interactions"]

    async def run_heavy(work):
        return await asyncio.to_thread(work)

    context = ReadContext(recommender, leaderboards, MemoryStore(), [UserState()], ["features"], run_heavy)
    found = asyncio.run(answer_request(request, context))
    return None if found is None else msgspec.json.decode(found)


def plain(struct):
    return msgspec.json.decode(msgspec.json.encode(struct))


def test_the_requests_of_this_test_are_all_that_there_are():
    assert {type(each) for each in REQUESTS} == set(get_args(ReadRequest))


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda each: type(each).__name__)
def test_a_request_arrives_as_it_was_sent_and_is_answered(recommender, request_):
    assert unpack_request(pack(request_)) == request_
    assert answer(recommender, request_)["model_version"] == recommender.version


def test_an_answer_is_what_the_recommender_gives(recommender):
    ranking, popular, leaders, found, items, users = (answer(recommender, each) for each in REQUESTS)

    assert ranking == plain(recommender.rank(REQUESTS[0], UserState(), ["features"]))
    assert popular == plain(recommender.popular(3))
    assert leaders["degraded"] == ["interactions"]
    assert found == plain(recommender.find_items("i1", 3))
    assert items == plain(recommender.similar_items("i1", 3))
    assert users["users"] == plain(recommender.similar_users("u3", UserState(), 3))["users"]


def test_nothing_is_answered_for_what_nobody_knows(recommender):
    assert answer(recommender, SimilarItemsRequest(item_id="nowhere")) is None
    assert answer(recommender, SimilarUsersRequest(user_id="nobody")) is None


def test_only_what_is_about_a_user_needs_one_and_only_work_or_a_first_use_takes_long():
    long = RankQuery(items=(("i1", None),) * 10_000)

    assert [users_of(each) for each in REQUESTS] == [["u3"], [], [], [], [], ["u3"]]
    assert [is_heavy(each) for each in [*REQUESTS, long]] == [False] * 6 + [True]
    assert [may_take_long(each) for each in [*REQUESTS, long]] == [False, False, False, True, False, True, True]
