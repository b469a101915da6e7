"""Whatever is done to them, the in-memory store and a server answer the same."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recommender.errors import StoreFullError
from recommender.stores import Store
from recommender.stores.protocols import Interaction, Item, User
from tests.support.store_servers import flush, opened, run

IDS = st.sampled_from(["a", "b", "c", "ü/"])
VALUES = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.text(),
    st.lists(st.text(), max_size=3),
)
FEATURES = st.none() | st.dictionaries(st.text(max_size=3), VALUES, max_size=3)
INTERACTIONS = st.builds(
    Interaction,
    IDS,
    st.sampled_from("12345"),
    st.floats(1e-300, 1e300),
    st.floats(0, 1e10),
    st.none() | st.just("click"),
    st.none() | st.sampled_from(["e1", "e2", "e3", "e4"]),
)
TIMES = st.sampled_from([0.0, 1.0, 1e9]) | st.floats(0, 1e10)
USERS = st.builds(User, IDS, FEATURES, TIMES)
ITEMS = st.builds(Item, IDS, st.none() | st.text(max_size=3), FEATURES, st.booleans(), TIMES)

OPERATIONS = st.one_of(
    st.tuples(st.just("append"), st.lists(INTERACTIONS, max_size=6)),
    st.tuples(st.just("read"), st.integers(0, 30), st.integers(1, 30)),
    st.tuples(st.just("trim"), st.integers(0, 30)),
    st.tuples(st.just("state")),
    st.tuples(st.just("advance"), st.integers(0, 30), st.integers(0, 30)),
    st.tuples(st.just("fetch"), st.lists(IDS, max_size=4)),
    st.tuples(st.just("get_users"), st.lists(IDS, max_size=4)),
    st.tuples(st.just("put_users"), st.lists(USERS, max_size=4)),
    st.tuples(st.just("delete_user"), IDS),
    st.tuples(st.just("expire_users"), st.dictionaries(IDS, TIMES, max_size=3)),
    st.tuples(st.just("expire_items"), st.dictionaries(IDS, TIMES, max_size=3)),
    st.tuples(st.just("list_users"), st.none() | st.integers(0, 9).map(str), st.integers(1, 4)),
    st.tuples(st.just("get_items"), st.lists(IDS, max_size=4)),
    st.tuples(st.just("put_items"), st.lists(ITEMS, max_size=4)),
    st.tuples(st.just("delete_item"), IDS),
    st.tuples(st.just("list_items"), st.none() | st.integers(0, 9).map(str), st.integers(1, 4)),
    st.tuples(st.just("item_changes"), st.integers(0, 30), st.integers(1, 4)),
    st.tuples(
        st.just("waiting"), IDS, st.none() | st.tuples(st.floats(0, 1e10), st.integers(0, 30)), st.integers(1, 9)
    ),
)


async def apply(store: Store, operation: tuple[Any, ...]) -> Any:
    name, *arguments = operation
    try:
        return await getattr(store, name)(*arguments)
    except StoreFullError:
        return "full"


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=st.lists(OPERATIONS, min_size=5, max_size=30))
def test_memory_and_server_answer_every_operation_alike(server_url: str, operations: list[tuple[Any, ...]]) -> None:
    flush(server_url)

    async def work() -> None:
        options = {"max_backlog": 12, "fetch_timeout_s": 2.0}
        async with opened("memory:", **options) as memory, opened(server_url, **options) as server:
            for operation in operations:
                assert await apply(memory, operation) == await apply(server, operation)

    run(work())
