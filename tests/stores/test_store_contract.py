"""What every store must do, asked of each kind."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from recommender.dense_vectors.packing import pack_vector
from recommender.errors import InvalidDataError, InvalidRequestError, StoreFullError
from recommender.schema import RecentItem, UserState
from recommender.stores import Store
from recommender.stores.protocols import (
    RECENT,
    RECENT_IDS,
    Appended,
    Interaction,
    Item,
    LogEntry,
    LogState,
    User,
    UserDeleted,
)
from tests.support.store_servers import click, item, opened, run, user


def test_an_interaction_comes_back_as_it_was_given(url: str) -> None:
    given = [Interaction("ü/1", "i 1", 2.5, 1.25, "view", "e1"), Interaction("ü/1", "i2", 1.0, 2.0)]

    async def work() -> list[LogEntry]:
        async with opened(url) as store:
            await store.append(given)
            return await store.read(0, 10)

    assert run(work()) == [LogEntry(1, given[0]), LogEntry(2, given[1])]


def test_offsets_count_accepted_events_across_batches(url: str) -> None:
    async def work() -> list[Appended]:
        async with opened(url) as store:
            return [await store.append([click()] * n) for n in (1, 3, 0, 2)]

    assert run(work()) == [Appended(1, 0, 1), Appended(3, 0, 4), Appended(0, 0, 4), Appended(2, 0, 6)]


def test_a_repeated_event_id_counts_once_within_a_batch_and_across(url: str) -> None:
    async def work() -> tuple[Appended, Appended, list[LogEntry]]:
        async with opened(url) as store:
            first = await store.append([click("a", "1", "e1"), click("a", "2", "e1"), click("a", "3")])
            second = await store.append([click("b", "4", "e1"), click("b", "5", "e2"), click("b", "6", "e2")])
            return first, second, await store.read(0, 10)

    first, second, entries = run(work())

    assert first == Appended(2, 1, 2)
    assert second == Appended(1, 2, 3)
    assert [entry.event.item_id for entry in entries] == ["1", "3", "5"]  # type: ignore[union-attr]


def test_a_batch_of_duplicates_changes_nothing(url: str) -> None:
    batch = [click("a", "1", "e1"), click("a", "2", "e2")]

    async def work() -> tuple[Appended, LogState]:
        async with opened(url) as store:
            await store.append(batch)
            return await store.append(batch), await store.state()

    assert run(work()) == (Appended(0, 2, 2), LogState(1, 2, 2))


def test_reading_goes_on_behind_an_offset_and_keeps_to_its_limit(url: str) -> None:
    async def work() -> tuple[list[LogEntry], list[LogEntry]]:
        async with opened(url) as store:
            await store.append([click(item_id=str(i)) for i in range(10)])
            return await store.read(3, 4), await store.read(10, 4)

    page, behind = run(work())

    assert [entry.offset for entry in page] == [4, 5, 6, 7]
    assert behind == []


def test_trimming_drops_what_was_learned_and_nothing_unread(url: str) -> None:
    async def work() -> tuple[LogState, list[LogEntry], list[UserState]]:
        async with opened(url) as store:
            await store.append([click("a", "1"), click("b", "2"), click("a", "3"), click("a", "1")])
            await store.trim(2)
            return await store.state(), await store.read(0, 10), (await store.fetch(["a", "b"])).users

    state, entries, users = run(work())

    assert state == LogState(3, 4, 2)
    assert state.trimmed_through == 2
    assert [entry.offset for entry in entries] == [3, 4]
    assert users == [UserState(None, (_recent("3", 3), _recent("1", 4))), UserState()]


def test_trimming_to_the_end_leaves_an_empty_log_that_counts_on(url: str) -> None:
    async def work() -> tuple[LogState, Appended]:
        async with opened(url) as store:
            await store.append([click()] * 3)
            await store.trim(3)
            return await store.state(), await store.append([click()])

    assert run(work()) == (LogState(4, 3, 0), Appended(1, 0, 4))


def test_more_than_a_page_is_trimmed(url: str) -> None:
    async def work() -> tuple[LogState, int]:
        async with opened(url) as store:
            await store.append([click(f"u{i % 7}", f"i{i}") for i in range(2500)])
            await store.trim(2300)
            return await store.state(), sum(
                len(each.recent) + len(each.older) for each in (await store.fetch(_names(7))).users
            )

    assert run(work()) == (LogState(2301, 2500, 200), 200)


def test_a_full_log_takes_nothing_of_a_batch_and_heals_when_trimmed(url: str) -> None:
    async def work() -> tuple[LogState, Appended]:
        async with opened(url, max_backlog=5) as store:
            await store.append([click("a", "1", "e1"), click(), click(), click()])
            with pytest.raises(StoreFullError, match="limit is 5"):
                await store.append([click("b", "1", "e2"), click("b", "2", "e3")])
            state = await store.state()
            await store.trim(1)
            return state, await store.append([click("b", "1", "e2"), click("b", "2", "e3")])

    assert run(work()) == (LogState(1, 4, 4), Appended(2, 0, 6))


def test_a_full_log_still_recognises_what_it_has(url: str) -> None:
    async def work() -> Appended:
        async with opened(url, max_backlog=2) as store:
            await store.append([click("a", "1", "e1"), click("a", "2", "e2")])
            return await store.append([click("a", "1", "e1"), click("a", "2", "e2")])

    assert run(work()) == Appended(0, 2, 2)


def test_a_full_log_still_takes_the_deletion_of_a_user(url: str) -> None:
    async def work() -> bool:
        async with opened(url, max_backlog=1) as store:
            await store.append([click("a")])
            return await store.delete_user("a")

    assert run(work())


def test_a_batch_of_ten_thousand_is_taken_at_once(url: str) -> None:
    batch = [click(f"u{i % 2100}", f"i{i}", f"e{i}") for i in range(10_000)]

    async def work() -> tuple[Appended, Appended, list[LogEntry], int]:
        async with opened(url) as store:
            first = await store.append(batch)
            again = await store.append(batch)
            return first, again, await store.read(9_990, 100), len((await store.fetch(["u7"])).users[0].recent)

    first, again, tail, recent = run(work())

    assert first == Appended(10_000, 0, 10_000)
    assert again == Appended(0, 10_000, 10_000)
    assert [entry.event for entry in tail] == batch[9_990:]
    assert recent == 5


def test_of_thousands_of_recent_items_the_newest_come_whole_and_the_others_as_ids(url: str) -> None:
    async def work() -> tuple[UserState, int]:
        async with opened(url) as store:
            await store.append([click("a", f"i{i}") for i in range(2500)])
            return (await store.fetch(["a"])).users[0], len(await store.waiting("a", None, 9_999))

    state, waiting = run(work())

    assert state.recent == tuple(_recent(f"i{i}", i + 1) for i in range(2500 - RECENT, 2500))
    assert state.older == tuple(f"i{i}" for i in reversed(range(2500 - RECENT)))
    assert waiting == 2500


def test_what_is_kept_of_one_users_recent_items_is_bounded(url: str) -> None:
    async def work() -> UserState:
        async with opened(url) as store:
            for start in range(0, RECENT_IDS + 500, 1500):
                await store.append([click("bot", f"i{i}") for i in range(start, start + 1500)])
            return (await store.fetch(["bot"])).users[0]

    state = run(work())

    assert len(state.recent) + len(state.older) == RECENT_IDS
    assert state.recent[-1].item_id == "i10499"
    assert state.older[-1] == "i500"


def test_a_recent_item_has_what_was_said_of_it_last(url: str) -> None:
    async def work() -> UserState:
        async with opened(url) as store:
            await store.append([Interaction("a", "1", 2.0, 5.0, "play"), Interaction("a", "2", 1.0, 6.0, None)])
            await store.append([Interaction("a", "1", 1.0, 7.0, "hide")])
            return (await store.fetch(["a"])).users[0]

    assert run(work()).recent == (RecentItem("2", 2, 1.0, None), RecentItem("1", 3, 1.0, "hide"))


def test_counters_advance_and_never_go_back(url: str) -> None:
    async def work() -> tuple[Appended, int, LogState]:
        async with opened(url) as store:
            await store.advance(100, 50)
            await store.advance(7, 7)
            appended = await store.append([click()])
            await store.put_items([item("a")])
            return appended, (await store.item_changes(0, 10)).last_sequence, await store.state()

    assert run(work()) == (Appended(1, 0, 101), 51, LogState(101, 101, 1))


def test_values_of_features_keep_their_types(url: str) -> None:
    features = {
        "age": 24,
        "score": 24.0,
        "vip": True,
        "no": False,
        "big": 2**63 - 1,
        "neg": -5,
        "g": ["Á", "b"],
        "s": "",
    }

    async def work() -> tuple[list[User | None], UserState]:
        async with opened(url) as store:
            await store.put_users([User("a", features, 1.5)])
            return await store.get_users(["a"]), (await store.fetch(["a"])).users[0]

    (found,), state = run(work())

    assert found == User("a", features, 1.5)
    assert found is not None
    for read in (found.features, state.features):
        assert read is not None
        assert {name: type(value) for name, value in read.items()} == {k: type(v) for k, v in features.items()}


def test_what_the_caller_changes_afterwards_is_not_stored(url: str) -> None:
    features = {"g": ["a"]}

    async def work() -> list[User | None]:
        async with opened(url) as store:
            await store.put_users([User("a", features, 1.5)])  # type: ignore[arg-type]
            features["g"].append("b")
            return await store.get_users(["a"])

    (found,) = run(work())

    assert found == User("a", {"g": ["a"]}, 1.5)


def test_no_features_and_empty_features_differ(url: str) -> None:
    async def work() -> list[UserState]:
        async with opened(url) as store:
            await store.put_users([User("none", None, 1.0), User("empty", {}, 1.0)])
            return (await store.fetch(["none", "empty", "unknown"])).users

    assert [state.features for state in run(work())] == [None, {}, None]


@pytest.mark.parametrize("value", [2**64, "\ud800"])
def test_what_cannot_be_stored_is_refused_with_the_whole_batch(url: str, value: object) -> None:
    async def work() -> tuple[list[User | None], int]:
        async with opened(url) as store:
            with pytest.raises(InvalidDataError):
                await store.put_users([user("good"), user("bad", x=value)])
            with pytest.raises(InvalidDataError):
                await store.put_items([item("good"), item("bad", x=value)])
            return await store.get_users(["good"]), (await store.item_changes(0, 9)).last_sequence

    assert run(work()) == ([None], 0)


def test_putting_says_which_were_created(url: str) -> None:
    async def work() -> tuple[list[bool], list[bool], list[bool], list[Item | None]]:
        async with opened(url) as store:
            first = await store.put_items([item("a"), item("b")])
            second = await store.put_items([item("b", x=1), item("c"), item("c", y=2)])
            await store.delete_item("a")
            return first, second, await store.put_items([item("a")]), await store.get_items(["c", "z", "b"])

    first, second, third, found = run(work())

    assert (first, second, third) == ([True, True], [False, True, False], [True])
    assert found == [item("c", y=2), None, item("b", x=1)]


def test_what_is_put_as_it_is_already_is_no_change(url: str) -> None:
    async def work() -> tuple[list[bool], list[tuple[int, str, Item | None]], list[Item | None], list[User | None]]:
        async with opened(url) as store:
            await store.put_items([item("a", x=1), item("b"), item("c")])
            await store.put_users([user("u", x=1)])
            later = [structs.replace(each, updated_at=99.5) for each in (item("a", x=1), item("b", y=2), item("c"))]
            created = await store.put_items([*later, item("d"), item("d")])
            await store.put_users([structs.replace(user("u", x=1), updated_at=99.5)])
            changes = (await store.item_changes(3, 10)).changes
            return created, changes, await store.get_items(["a", "c"]), await store.get_users(["u"])

    created, changes, items, users = run(work())

    assert created == [False, False, False, True, False]
    assert changes == [(4, "b", structs.replace(item("b", y=2), updated_at=99.5)), (5, "d", item("d"))]
    assert items == [item("a", x=1), item("c")]
    assert users == [user("u", x=1)]


def test_what_is_put_back_within_a_batch_is_what_was_put_last(url: str) -> None:
    async def work() -> list[Item | None]:
        async with opened(url) as store:
            await store.put_items([item("a", x=1)])
            await store.put_items([item("a", x=2), item("a", x=1)])
            return await store.get_items(["a"])

    assert run(work()) == [item("a", x=1)]


def test_an_item_that_is_gone_is_gone_once(url: str) -> None:
    async def work() -> tuple[bool, bool, list[Item | None]]:
        async with opened(url) as store:
            await store.put_items([item("a")])
            return await store.delete_item("a"), await store.delete_item("a"), await store.get_items(["a"])

    assert run(work()) == (True, False, [None])


def test_changes_of_items_name_each_once_as_it_is_now(url: str) -> None:
    async def work() -> tuple[list[tuple[int, str, Item | None]], int, bool]:
        async with opened(url) as store:
            await store.put_items([item("a"), item("b"), item("c")])
            await store.put_items([item("a", x=1)])
            await store.delete_item("b")
            return await store.item_changes(0, 10)

    changes, last, more, _ = run(work())

    assert changes == [(3, "c", item("c")), (4, "a", item("a", x=1)), (5, "b", None)]
    assert (last, more) == (5, False)


def test_changes_of_items_are_read_page_by_page(url: str) -> None:
    async def work() -> list[tuple[list[str], int, bool]]:
        async with opened(url) as store:
            await store.put_items([item("a"), item("b"), item("c"), item("d")])
            pages, after, more = [], 0, True
            while more:
                changes, after, more, _ = await store.item_changes(after, 2)
                pages.append(([item_id for _, item_id, _ in changes], after, more))
            pages.append(((await store.item_changes(after, 2)).changes, after, more))
            return pages  # type: ignore[return-value]

    assert run(work()) == [(["a", "b"], 2, True), (["c", "d"], 4, False), ([], 4, False)]


async def _listed(store: Store, limit: int, between: str | None = None) -> list[list[str]]:
    pages, cursor = [], None
    while True:
        items, cursor = await store.list_items(cursor, limit)
        pages.append([each.item_id for each in items])
        if cursor is None:
            return pages
        if between is not None:
            await store.put_items([item(between, n=len(pages))])
            between = None


def test_listing_pages_are_full_and_skip_the_deleted(url: str) -> None:
    async def work() -> list[list[str]]:
        async with opened(url) as store:
            await store.put_items([item(str(i)) for i in range(9)])
            for item_id in "02468":
                await store.delete_item(item_id)
            return await _listed(store, 2)

    assert run(work()) == [["1", "3"], ["5", "7"]]


def test_listing_repeats_and_skips_nothing_that_did_not_change_meanwhile(url: str) -> None:
    async def work() -> list[list[str]]:
        async with opened(url) as store:
            await store.put_items([item(str(i)) for i in range(5)])
            return await _listed(store, 2, between="3")

    pages = run(work())

    assert [each for page in pages for each in page if each != "3"] == ["0", "1", "2", "4"]
    assert pages[-1][-1] == "3"


def test_users_are_listed_and_deleted_ones_are_not(url: str) -> None:
    async def work() -> list[tuple[list[User], str | None]]:
        async with opened(url) as store:
            await store.put_users([user("a"), user("b"), user("c")])
            await store.delete_user("a")
            first = await store.list_users(None, 1)
            return [first, await store.list_users(first[1], 1)]

    (first, cursor), (second, end) = run(work())

    assert [each.user_id for each in first + second] == ["b", "c"]
    assert cursor is not None
    assert end is None


@pytest.mark.parametrize("cursor", ["", "-1", "x", "²", "9" * 16])
def test_a_cursor_that_was_never_given_out_is_refused(url: str, cursor: str) -> None:
    async def work() -> None:
        async with opened(url) as store:
            await store.list_users(cursor, 1)

    with pytest.raises(InvalidRequestError):
        run(work())


def test_fetching_tells_all_that_is_known_in_the_order_asked(url: str) -> None:
    async def work() -> tuple[list[UserState], int, int, int]:
        async with opened(url) as store:
            await store.put_users([user("a", age=24)])
            await store.put_items([item("1"), item("2")])
            await store.append([click("a", "1"), click("b", "2"), click("a", "2"), click("a", "1")])
            return (await store.fetch(["b", "nobody", "a", "b"]))[:4]

    users, items_sequence, last_offset, unreadable = run(work())

    b = UserState(None, (_recent("2", 2),))
    assert users == [b, UserState(), UserState({"age": 24}, (_recent("2", 3), _recent("1", 4))), b]
    assert (items_sequence, last_offset, unreadable) == (2, 4, 0)


def test_fetching_nobody_tells_where_log_and_catalogue_are(url: str) -> None:
    async def work() -> tuple[list[UserState], int, int, int]:
        async with opened(url) as store:
            await store.append([click()])
            return (await store.fetch([]))[:4]

    assert run(work()) == ([], 0, 1, 0)


def test_deleting_a_user_erases_them_and_tells_the_log(url: str) -> None:
    async def work() -> tuple[bool, list[User | None], UserState, list[LogEntry], LogEntry]:
        async with opened(url) as store:
            await store.put_users([user("a", age=1)])
            await store.append([click("a")])
            deleted = await store.delete_user("a")
            state = (await store.fetch(["a"])).users[0]
            waiting = await store.waiting("a", None, 9)
            return deleted, await store.get_users(["a"]), state, waiting, (await store.read(1, 9))[0]

    assert run(work()) == (True, [None], UserState(None, (), 2), [], LogEntry(2, UserDeleted("a")))


def test_a_user_who_only_has_interactions_can_be_deleted(url: str) -> None:
    async def work() -> bool:
        async with opened(url) as store:
            await store.append([click("a")])
            return await store.delete_user("a")

    assert run(work())


def test_deleting_somebody_unknown_still_tells_the_log(url: str) -> None:
    async def work() -> tuple[bool, list[LogEntry]]:
        async with opened(url) as store:
            return await store.delete_user("a"), await store.read(0, 9)

    assert run(work()) == (False, [LogEntry(1, UserDeleted("a"))])


def test_what_a_deleted_user_does_later_counts_again(url: str) -> None:
    async def work() -> UserState:
        async with opened(url) as store:
            await store.append([click("a", "old")])
            await store.delete_user("a")
            await store.append([click("a", "new")])
            return (await store.fetch(["a"])).users[0]

    assert run(work()) == UserState(None, (_recent("new", 3),), 2)


def test_a_deletion_is_noted_until_all_have_learned_it(url: str) -> None:
    async def work() -> list[int]:
        async with opened(url) as store:
            await store.append([click("a")])
            await store.delete_user("a")
            found = []
            for through in (1, 2):
                await store.trim(through)
                found.append((await store.fetch(["a"])).users[0].deleted_at)
            return found

    assert run(work()) == [2, 0]


def test_a_later_deletion_survives_the_trimming_of_an_earlier_one(url: str) -> None:
    async def work() -> int:
        async with opened(url) as store:
            await store.delete_user("a")
            await store.delete_user("a")
            await store.trim(1)
            return (await store.fetch(["a"])).users[0].deleted_at

    assert run(work()) == 2


def test_all_waiting_interactions_come_newest_first_by_time_with_all_they_had(url: str) -> None:
    given = [Interaction("a", "1", 2.0, 50.5, "play"), Interaction("a", "1", 1.0, 10.0), click("b", "3")]
    given += [Interaction("a", "2", 1.0, 50.5), Interaction("a", "1", 5.0, 99.0, "buy")]

    async def work() -> tuple[list[LogEntry], list[LogEntry]]:
        async with opened(url) as store:
            await store.append(given)
            return await store.waiting("a", None, 9), await store.waiting("nobody", None, 9)

    found = [LogEntry(5, given[4]), LogEntry(4, given[3]), LogEntry(1, given[0]), LogEntry(2, given[1])]
    assert run(work()) == (found, [])


def test_waiting_interactions_are_read_page_by_page_while_others_come_and_are_trimmed(url: str) -> None:
    async def work() -> list[int]:
        async with opened(url) as store:
            await store.append([Interaction("a", str(i), 1.0, float(i // 4)) for i in range(20)])
            found: list[int] = []
            before = None
            while page := await store.waiting("a", before, 3):
                found += [entry.offset for entry in page]
                before = page[-1].event.timestamp, page[-1].offset  # type: ignore[union-attr]
                await store.append([Interaction("a", "new", 1.0, 1e9)])
                if len(found) == 9:
                    await store.trim(before[1])  # the place itself, and all that is older
            return found

    assert run(work()) == list(range(20, 11, -1))


def test_health_names_an_engine(url: str) -> None:
    async def work() -> tuple[str, float]:
        async with opened(url) as store:
            health = await store.ping()
            return health.engine, health.latency_ms

    engine, latency_ms = run(work())

    assert engine in {"memory", "redis", "valkey"}
    assert 0 <= latency_ms < 1000


def test_ids_may_have_any_letters(url: str) -> None:
    ids = ["a b", "{rec}:u", "ü/%2F", "'\"\\", "0", "日本"]

    async def work() -> tuple[list[User | None], list[UserState]]:
        async with opened(url) as store:
            await store.put_users([user(each) for each in ids])
            await store.append([click(each, each, each) for each in ids])
            return await store.get_users(ids), (await store.fetch(ids)).users

    users, states = run(work())

    assert users == [user(each) for each in ids]
    assert [state.recent for state in states] == [(_recent(each, at),) for at, each in enumerate(ids, start=1)]


def _recent(item_id: str, offset: int) -> RecentItem:
    """What is known of a `click`."""
    return RecentItem(item_id, offset, 1.0, "click")


def _names(n: int) -> list[str]:
    return [f"u{i}" for i in range(n)]


def test_the_newest_items_come_first_page_by_page(url: str) -> None:
    async def work() -> list[list[tuple[int, str, Item | None]]]:
        async with opened(url) as store:
            empty = await store.newest_items(None, 5)
            await store.put_items([item("a"), item("b"), item("c")])
            await store.put_items([item("a", x=1)])
            await store.delete_item("b")
            first = await store.newest_items(None, 2)
            return [empty, first, await store.newest_items(first[-1][0], 2), await store.newest_items(3, 9)]

    empty, first, second, third = run(work())

    assert empty == []
    assert first == [(4, "a", item("a", x=1)), (3, "c", item("c"))]
    assert second == third == []


def test_deletions_outlive_the_log_where_a_version_that_serves_has_not_learned_them(url: str) -> None:
    async def work() -> list[int]:
        async with opened(url) as store:
            await store.append([click("a")])
            await store.delete_user("a")
            await store.append([click("b")])
            await store.trim(3, keep_deletions=True)
            assert (await store.state()).length == 0
            return [state.deleted_at for state in (await store.fetch(["a", "b"])).users]

    assert run(work()) == [2, 0]


def test_a_deleted_item_is_a_change_until_it_is_forgotten_and_one_that_is_there_is_never_forgotten(url: str) -> None:
    async def work() -> list[list[tuple[int, str, Item | None]]]:
        async with opened(url) as store:
            await store.put_items([item("a"), item("b"), item("c")])
            await store.delete_item("a")
            await store.delete_item("b")
            await store.put_items([item("b")])
            before = (await store.item_changes(0, 9)).changes
            await store.forget_items(["a", "b", "c", "never there"])
            return [before, (await store.item_changes(0, 9)).changes]

    before, after = run(work())

    assert before == [(3, "c", item("c")), (4, "a", None), (6, "b", item("b"))]
    assert after == [(3, "c", item("c")), (6, "b", item("b"))]


def test_a_record_expires_where_it_has_not_changed_since_and_an_item_among_the_changes(url: str) -> None:
    async def work() -> tuple[list[User | None], list[Item | None], list[tuple[int, str, Item | None]]]:
        async with opened(url) as store:
            await store.put_users([User("idle", {}, 5.0), User("changed", {}, 5.0), User("back", {}, 5.0)])
            await store.put_users([User("changed", {"age": 3}, 6.0)])
            await store.append([click("back")])
            await store.put_items([Item("gone", None, None, False, 5.0), Item("again", None, None, True, 6.0)])
            await store.expire_users({"idle": 5.0, "changed": 5.0, "back": 5.0, "never there": 5.0})
            await store.expire_items({"gone": 5.0, "again": 5.0, "never there": 5.0})
            users = await store.get_users(["idle", "changed", "back"])
            items = await store.get_items(["gone", "again"])
            assert await store.list_users(None, 9) == ([users[2], users[1]], None)
            assert (await store.state()).last_offset == 1
            return users, items, (await store.item_changes(0, 9)).changes

    users, items, changes = run(work())

    assert users == [None, User("changed", {"age": 3}, 6.0), User("back", {}, 5.0)]
    assert items == [None, Item("again", None, None, True, 6.0)]
    assert changes == [(2, "again", items[1]), (3, "gone", None)]


def test_changes_of_items_there_and_gone_are_read_page_by_page(url: str) -> None:
    async def work() -> list[list[str]]:
        async with opened(url) as store:
            await store.put_items([item(str(i)) for i in range(6)])
            for item_id in "024":
                await store.delete_item(item_id)
            pages, after, more = [], 0, True
            while more:
                changes, after, more, _ = await store.item_changes(after, 2)
                pages.append([item_id for _, item_id, _ in changes])
            return pages

    assert run(work()) == [["1", "3"], ["5", "0"], ["2", "4"]]


def test_who_has_read_all_changes_of_items_is_where_the_store_is(url: str) -> None:
    async def work() -> list[tuple[list[str], int, bool]]:
        async with opened(url) as store:
            await store.put_items([item("a"), item("b")])
            await store.advance(0, 50)  # as after a loss of the store
            pages = [await store.item_changes(after, 1) for after in (0, 1, 2, 70)]
            return [([item_id for _, item_id, _ in changes], last, more) for changes, last, more, *_ in pages]

    assert run(work()) == [(["a"], 1, True), (["b"], 50, False), ([], 50, False), ([], 70, False)]


def test_nothing_is_trimmed_of_a_log_that_never_came_so_far(url: str) -> None:
    async def work() -> list[Any]:
        async with opened(url) as store:
            await store.append([click("a", "1"), click("a", "2")])
            await store.trim(277)
            kept = [(await store.state()).length, len((await store.fetch(["a"])).users[0].recent)]
            await store.advance(277, 0)
            await store.trim(277)
            return [*kept, await store.state()]

    assert run(work()) == [2, 2, LogState(278, 277, 0)]


def test_the_deletion_of_an_item_without_a_record_is_a_change_where_that_is_asked_for(url: str) -> None:
    async def work() -> list[Any]:
        async with opened(url) as store:
            deleted = [await store.delete_item("a"), await store.delete_item("a", without_record=True)]
            return [deleted, (await store.item_changes(0, 9)).changes]

    assert run(work()) == [[False, True], [(1, "a", None)]]


def test_a_feature_is_a_vector_of_one_length_for_all_who_have_it(url: str) -> None:
    def with_text(*numbers: float) -> Item:
        return item("b", text=pack_vector(numbers), color="red")

    async def work() -> list[Item | None]:
        async with opened(url) as store:
            await store.put_items([item("a", text=pack_vector([0.5, 1.0, 2.0]), color="red")])
            with pytest.raises(InvalidRequestError, match="'text' is a vector of 2 numbers here and of 3 elsewhere"):
                await store.put_items([item("c", new="x"), with_text(0.5, 1.0)])
            with pytest.raises(InvalidRequestError, match="'text' is text or a number here and a vector of 3 numbers"):
                await store.put_items([item("b", text="hello")])
            with pytest.raises(InvalidRequestError, match="'color' is a vector of 2 numbers here and text or a number"):
                await store.put_items([item("b", color=pack_vector([0.5, 1.0]))])
            with pytest.raises(InvalidRequestError, match="'new' is a vector of 2 numbers here and of 3 elsewhere"):
                await store.put_items([item(f"{n}", new=pack_vector([0.5] * n)) for n in (3, 2)])
            assert await store.feature_kinds("items", ["text", "color", "new"]) == {"text": 3, "color": 0}
            await store.put_items([with_text(0.5, 1.0, 2.0), item("d", text=[])])
            return await store.get_items(["a", "b", "c"])

    first, second, third = run(work())

    assert first is not None
    assert second is not None
    assert first.features == second.features
    assert third is None


def test_users_and_items_may_have_vectors_of_different_lengths_and_a_forgotten_name_is_free(url: str) -> None:
    async def work() -> dict[str, int]:
        async with opened(url) as store:
            await store.put_items([item("a", text=pack_vector([0.5, 1.0]), x=1)])
            await store.put_users([user("a", text=pack_vector([0.5, 1.0, 2.0]))])
            await store.forget_feature_kinds("items", ["x"])
            await store.put_items([item("a", text="hello", x=2)])
            return await store.feature_kinds("items", ["text", "x"]) | await store.feature_kinds("users", ["text"])

    assert run(work()) == {"text": 3, "x": 0}


def test_exposures_come_back_in_order_and_leave_when_they_are_taken_over(url: str) -> None:
    async def work() -> list[Any]:
        async with opened(url) as store:
            await store.append_exposures([b"a", b"b", b"c"])
            await store.append_exposures([])
            await store.append_exposures([b"d"])
            first = await store.read_exposures(0, 2)
            rest = await store.read_exposures(first[-1].offset, 10)
            await store.drop_exposures([first[0].offset, rest[0].offset])
            left = [entry.packed for entry in await store.read_exposures(0, 10)]
            await store.trim_exposures(first[-1].offset)
            trimmed = [entry.packed for entry in await store.read_exposures(0, 10)]
            offsets = [entry.offset for entry in (*first, *rest)]
            return [[entry.packed for entry in (*first, *rest)], offsets == sorted(set(offsets)), left, trimmed]

    assert run(work()) == [[b"a", b"b", b"c", b"d"], True, [b"b", b"d"], [b"d"]]


def test_what_came_of_explored_items_is_kept_as_it_was_put_last(url: str) -> None:
    async def work() -> list[bytes | None]:
        async with opened(url) as store:
            before = await store.get_trials()
            await store.put_trials(b"a")
            await store.put_trials(b"b")
            return [before, await store.get_trials()]

    assert run(work()) == [None, b"b"]


def test_a_full_stream_of_exposures_takes_all_or_none(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recommender.stores.exposure_stream.MAX_EXPOSURES", 3)
    monkeypatch.setattr("recommender.stores.memory_store.MAX_EXPOSURES", 3)

    async def work() -> int:
        async with opened(url) as store:
            await store.append_exposures([b"a", b"b"])
            with pytest.raises(StoreFullError, match="limit is 3"):
                await store.append_exposures([b"c", b"d"])
            return await store.count_exposures()

    assert run(work()) == 2
