"""The client: what it asks again and what it does not, and what it raises."""

import asyncio
import pickle
import re

import msgspec
import pandas as pd
import pytest

from deployments.ingress import build_api
from lightfm_serve import (
    AsyncClient,
    Client,
    ConflictError,
    Interaction,
    InvalidError,
    NotFoundError,
    ProblemError,
    Retries,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
    UnreachableError,
)
from lightfm_serve.client import endpoints, errors, experiment_endpoints, placement_endpoints
from lightfm_serve.client.retries import Attempts
from tests.support.scripted_server import HANG_UP, Reply, accepting, problem, with_request_ids

QUICK = Retries(attempts=4, first_s=0.001)
CLICK = {"user_id": "ann", "item_id": "50"}


def each_call():
    """Every call there is, with some arguments."""
    yield endpoints.recommend("a/b", filter=["genres:Comedy"], explain=True, boost={"genres:Drama": 0.5})
    yield endpoints.recommend_many([{"user_id": "a"}])
    yield endpoints.rank(["50"], user_id="a")
    yield endpoints.similar_items("50")
    yield endpoints.similar_users("a")
    yield endpoints.popular()
    yield endpoints.trending()
    yield endpoints.latest()
    yield endpoints.search("star")
    yield endpoints.add_interactions([CLICK])
    yield endpoints.list_interactions()
    yield endpoints.put_user("a", {"age": 24})
    yield endpoints.get_user("a")
    yield endpoints.delete_user("a")
    yield endpoints.list_users()
    yield endpoints.put_users([{"user_id": "a"}])
    yield endpoints.user_interactions("a")
    yield endpoints.put_item("50")
    yield endpoints.get_item("50")
    yield placement_endpoints.put_placement("home", {"k": 5})
    yield placement_endpoints.get_placement("home")
    yield placement_endpoints.list_placements()
    yield placement_endpoints.placement_history("home")
    yield placement_endpoints.delete_placement("home")
    yield placement_endpoints.preview_placement("home", {"k": 3}, "a")
    yield experiment_endpoints.put_experiment("news", {"placement": "home", "variants": []})
    yield experiment_endpoints.get_experiment("news")
    yield experiment_endpoints.list_experiments()
    yield experiment_endpoints.end_experiment("news", "diverse")
    yield experiment_endpoints.delete_experiment("news")
    yield endpoints.delete_item("50")
    yield endpoints.list_items()
    yield endpoints.put_items([{"item_id": "50"}])
    yield endpoints.add_exposures([{"items": ["50"]}])
    yield endpoints.list_exposures()
    yield endpoints.attribution("day", placement="home", since=0)
    yield endpoints.models()
    yield endpoints.train()
    yield endpoints.active_model()
    yield endpoints.activate("latest")
    yield endpoints.status()
    yield endpoints.metrics()
    yield endpoints.metrics_history()
    yield endpoints.audit(cursor="17", limit=2)
    yield endpoints.forget("a/b", verify=False)
    yield endpoints.forgetting("a/b")
    yield endpoints.healthy()
    yield endpoints.ready()


def test_both_clients_have_a_method_for_every_route_of_the_service():
    routes = {
        (method.upper(), path)
        for path, methods in build_api().openapi()["paths"].items()
        for method in methods
        if re.match("/v1/|/healthz|/readyz", path)
    }
    described = [call for call in each_call() if isinstance(call, endpoints.Call)]

    assert {(call.method, call.template) for call in described} >= routes
    methods = {
        name
        for module in (endpoints, experiment_endpoints, placement_endpoints)
        for name, found in vars(module).items()
        if getattr(found, "__module__", "") == module.__name__
    }
    methods = {name for name in methods if name[0].islower() and name[0] != "_"}
    assert len(methods) == len(described)
    for client in (Client, AsyncClient):
        assert methods <= set(dir(client))
        assert client.recommend.__doc__ == endpoints.recommend.__doc__


DOCUMENT = build_api().openapi()


def fields(schema, components):
    """Names in an object, and what is in each; of an array, of its members."""
    if "$ref" in schema:
        return fields(components[schema["$ref"].rpartition("/")[2]], components)
    if "anyOf" in schema:
        return next((found for each in schema["anyOf"] if (found := fields(each, components))), {})
    if "items" in schema:
        return fields(schema["items"], components)
    return {name: fields(each, components) for name, each in schema.get("properties", {}).items()}


@pytest.mark.parametrize("call", list(each_call()), ids=lambda call: f"{call.method} {call.template}")
def test_the_client_reads_and_asks_what_openapi_says(call):
    operation = DOCUMENT["paths"][call.template][call.method.lower()]
    wanted = {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
    (answer,) = [each for status, each in operation["responses"].items() if status in ("200", "202", "204")]

    assert set(call.params) == wanted
    if "content" in answer:
        kind = call.read.__self__.type
        (schema,), components = msgspec.json.schema_components([kind], ref_template="{name}")
        documented = answer["content"]["application/json"]["schema"]
        assert fields(schema, components) == fields(documented, DOCUMENT["components"]["schemas"])


def test_an_id_and_a_filter_are_encoded():
    call = next(each_call())

    assert call.path == "/v1/users/a%2Fb/recommendations"
    assert ("filter", "genres:Comedy") in call.query
    assert ("boost", "genres:Drama:0.5") in call.query
    assert ("explain", "true") in call.query


def replies(*given):
    left = list(given)
    return lambda asked: left.pop(0) if left else accepting(asked)


@pytest.mark.parametrize("failure", [HANG_UP, problem(503, Retry_After="0"), problem(429, Retry_After="0"), Reply(502)])
def test_what_fails_in_passing_is_repeated_with_the_same_event_ids(failure):
    with with_request_ids(replies(failure, failure)) as talk, Client(talk.url, retries=QUICK) as client:
        answer = client.add_interactions([CLICK, Interaction(user_id="bob", item_id="7", event_id="mine")])

    assert answer.accepted == 2
    sent = talk.of("/v1/interactions")
    assert len(sent) == 3
    assert sent[0] == sent[1] == sent[2]
    assert sent[0]["interactions"][1]["event_id"] == "mine"
    assert len(sent[0]["interactions"][0]["event_id"]) == 32


def test_the_async_client_does_the_same():
    async def add(url):
        async with AsyncClient(url, retries=QUICK) as client:
            return await client.add_interactions([CLICK])

    with with_request_ids(replies(HANG_UP, problem(503, Retry_After="0"))) as talk:
        assert asyncio.run(add(talk.url)).accepted == 1

    first, *others = talk.of("/v1/interactions")
    assert others == [first, first]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, UnauthorizedError), (404, NotFoundError), (409, ConflictError), (422, InvalidError), (500, ProblemError)],
)
def test_what_will_not_change_is_not_repeated(status, kind):
    fault = [{"loc": "body", "msg": "wrong"}]
    with (
        with_request_ids(lambda _: problem(status, "because", fault)) as talk,
        Client(talk.url, retries=QUICK) as client,
        pytest.raises(kind, match="because") as raised,
    ):
        client.get_user("ann")

    assert len(talk.asked) == 1
    assert raised.value.problem.errors[0].msg == "wrong"


def test_patience_ends_and_a_longer_retry_after_is_not_waited_for():
    with with_request_ids(lambda _: problem(503, Retry_After="0")) as talk, Client(talk.url, retries=QUICK) as client:
        with pytest.raises(UnavailableError):
            client.popular()
        assert len(talk.asked) == 4
        talk.answer = lambda _: problem(503, Retry_After="3600")
        with pytest.raises(UnavailableError) as raised:
            client.popular()

    assert raised.value.problem.retry_after_s == 3600
    assert len(talk.asked) == 5


def test_a_training_whose_answer_was_lost_is_not_begun_again():
    with (
        with_request_ids(lambda _: HANG_UP) as talk,
        Client(talk.url, retries=QUICK) as client,
        pytest.raises(UnreachableError),
    ):
        client.train("full")

    assert len(talk.asked) == 1


def test_a_deletion_whose_answer_was_lost_is_done_when_there_is_nothing_left():
    with with_request_ids(replies(HANG_UP, problem(404))) as talk, Client(talk.url, retries=QUICK) as client:
        assert client.delete_user("ann") is None
        talk.answer = lambda _: problem(404)
        with pytest.raises(NotFoundError):
            client.delete_user("ann")


def test_the_key_comes_from_the_environment_or_as_an_argument_and_is_not_shown(monkeypatch):
    monkeypatch.setenv("RECOMMENDER_API_KEY", "from-outside")
    empty = Reply(200, {"items": []})
    with with_request_ids(lambda _: empty) as talk, Client(talk.url) as one, Client(talk.url, "given") as other:
        one.popular()
        other.popular()
        assert "given" not in repr(other)

    assert [each.key for each in talk.asked] == ["Bearer from-outside", "Bearer given"]


def test_an_answer_of_something_else_is_unexpected():
    strange = Reply(200, ["hello"])
    with (
        with_request_ids(lambda _: strange) as talk,
        Client(talk.url) as client,
        pytest.raises(UnexpectedAnswerError),
    ):
        client.popular()


def test_every_error_survives_pickle():
    told = errors.Problem(title="Conflict", status=409, detail="later", retry_after_s=1.0)
    for raised in (ConflictError(told), UnreachableError("gone")):
        copy = pickle.loads(pickle.dumps(raised))  # noqa: S301 (our own)
        assert (type(copy), str(copy)) == (type(raised), str(raised))


def test_frames_are_sent_with_the_ids_that_their_rows_have_whoever_sends_them():
    interactions = pd.DataFrame(
        {
            "user_id": ["ann", "ann", "bob"],
            "item_id": [50, 50, 7],
            "timestamp": pd.to_datetime(["2024-01-01", "2024-01-01", None]),
        }
    )
    users = pd.DataFrame({"age": [24.0, None], "tags": [["a", "b"], None]}, index=pd.Index(["ann", "bob"]))
    items = pd.DataFrame({"item_id": ["50"], "title": ["Star Wars"], "available": [False], "year": [1977]})
    with with_request_ids(accepting) as talk, Client(talk.url) as client:
        done = client.import_frame(interactions, users=users, items=items)
        client.import_frame(interactions[::-1])

    assert done == (2, 1, 3, 0)
    assert talk.of("/v1/users") == [
        {
            "users": [
                {"user_id": "ann", "features": {"age": 24.0, "tags": ["a", "b"]}},
                {"user_id": "bob", "features": {}},
            ]
        }
    ]
    assert talk.of("/v1/items") == [
        {"items": [{"item_id": "50", "title": "Star Wars", "available": False, "features": {"year": 1977}}]}
    ]
    first, again = (page["interactions"] for page in talk.of("/v1/interactions"))
    assert first[0]["timestamp"] == 1704067200
    assert "timestamp" not in first[2]
    assert len({row["event_id"] for row in first}) == 3
    assert {row["event_id"] for row in again} == {row["event_id"] for row in first}


def test_a_frame_with_a_misspelt_column_is_refused():
    with Client("http://127.0.0.1:9") as client, pytest.raises(ValueError, match="wieght"):
        client.import_frame(pd.DataFrame({"user_id": ["a"], "item_id": ["b"], "wieght": [1]}))


def test_who_is_patient_for_hours_is_not_stopped_by_the_number_of_attempts():
    attempts = Attempts(Retries(attempts=10_000, patience_s=1e6), endpoints.healthy())
    pauses = [attempts.pause_s(UnreachableError("away")) for _ in range(2_000)]

    assert max(pauses) <= Retries.longest_s
    assert min(pauses[100:]) >= Retries.longest_s / 2
