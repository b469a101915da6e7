"""What only a server can do to a store: die, hang, fill up, lose an answer, hold something broken."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import msgspec
import numpy as np
import pytest
import redis.exceptions

from recommender.dense_vectors.packing import pack_vector
from recommender.errors import InvalidDataError, StoreError, StoreFullError, StoreUnavailableError
from recommender.schema import RecentItem, UserState
from recommender.stores import MemoryStore, RedisStore, open_store
from recommender.stores.codec import pack
from recommender.stores.connection import Connection
from recommender.stores.health import read_health
from recommender.stores.protocols import Appended, LogEntry, UnreadableEntry
from tests.support.store_servers import (
    Proxy,
    Server,
    accepts,
    click,
    item,
    opened,
    raw,
    run,
    start_redis,
    user,
    wait_until,
)

REDIS_ERRORS = [
    kind
    for kind in vars(redis.exceptions).values()
    if isinstance(kind, type) and issubclass(kind, redis.exceptions.RedisError)
]


def test_fetching_a_hundred_users_is_one_command(server_url: str) -> None:
    async def work() -> dict[str, Any]:
        async with opened(server_url, fetch_timeout_s=2.0) as store:
            await store.fetch(["warm"])
            with raw(server_url) as client:
                client.config_resetstat()
                await store.fetch([f"u{i}" for i in range(100)])
                stats: dict[str, Any] = client.info("commandstats")
            return stats

    stats = run(work())

    assert stats["cmdstat_evalsha"]["calls"] == 1
    inside = {"cmdstat_mget", "cmdstat_zrange"}
    assert set(stats) - inside == {"cmdstat_evalsha", "cmdstat_config|resetstat"}


def test_scripts_that_the_server_has_forgotten_are_sent_again(server_url: str) -> None:
    async def work() -> list[Appended]:
        async with opened(server_url) as store:
            first = await store.append([click()])
            with raw(server_url) as client:
                client.script_flush()
            return [first, await store.append([click()])]

    assert run(work()) == [Appended(1, 0, 1), Appended(1, 0, 2)]


def test_a_restart_of_the_server_is_survived_by_the_same_client(own_redis: Server) -> None:
    async def work() -> tuple[Appended, list[UserState]]:
        async with opened(own_redis.tcp_url) as store:
            await asyncio.gather(*(store.append([click("a", str(i))]) for i in range(5)))
            await store.fetch(["a"])
            own_redis.process.kill()
            own_redis.process.wait()
            with pytest.raises(StoreUnavailableError):
                await store.fetch(["a"])
            own_redis.process = (await asyncio.to_thread(start_redis, own_redis.folder, own_redis.port)).process
            return await store.append([click("a", "new")]), (await store.fetch(["a"])).users

    appended, (state,) = run(work())

    assert appended == Appended(1, 0, 6)
    assert len(state.recent) == 6


@pytest.mark.parametrize("warm", [True, False])
def test_a_hung_server_costs_no_more_than_the_deadline(own_redis: Server, warm: bool) -> None:
    async def work() -> list[float]:
        async with opened(own_redis.tcp_url, fetch_timeout_s=0.1, timeout_s=0.2) as store:
            if warm:  # the second goes over a kept connection
                await store.fetch(["a"])
                await store.fetch(["a"])
            os.kill(own_redis.process.pid, signal.SIGSTOP)
            took = []
            for call in (lambda: store.fetch(["a"]), lambda: store.append([click()])):
                began = time.monotonic()
                with pytest.raises(StoreUnavailableError, match="within"):
                    await call()
                took.append(time.monotonic() - began)
            os.kill(own_redis.process.pid, signal.SIGCONT)
            await asyncio.sleep(0.1)
            await store.fetch(["a"])
            return took

    fetch_s, append_s = run(work())

    assert fetch_s < 0.2
    assert append_s < 0.4


def test_an_answer_lost_after_the_write_and_a_repeat_count_once(redis_server: Server) -> None:
    batch = [click("a", str(i), f"e{i}") for i in range(3)]

    async def work() -> tuple[Appended, int]:
        async with (
            Proxy(redis_server.port).running() as proxy,
            opened(f"redis://127.0.0.1:{proxy.port}", prefix="{cut}:") as store,
        ):
            await store.state()
            proxy.cuts_answers = True
            with pytest.raises(StoreUnavailableError):
                await store.append(batch)
            proxy.cuts_answers = False
            return await store.append(batch), (await store.state()).length

    with raw(redis_server.tcp_url) as client:
        client.flushall()
    appended, length = run(work())

    # whether the script had been loaded decides if the first attempt was applied; twice it never is
    assert appended.accepted + appended.duplicates == 3
    assert length == 3


def test_a_write_is_never_repeated_silently(redis_server: Server) -> None:
    async def work() -> int:
        async with (
            Proxy(redis_server.port).running() as proxy,
            opened(f"redis://127.0.0.1:{proxy.port}", prefix="{once}:") as store,
        ):
            await store.append([click()])
            proxy.cuts_answers = True
            with pytest.raises(StoreUnavailableError):
                await store.append([click()])
            proxy.cuts_answers = False
            return (await store.state()).length

    with raw(redis_server.tcp_url) as client:
        client.flushall()

    assert run(work()) == 2


def test_a_cancelled_call_leaves_no_answer_for_the_next(redis_server: Server) -> None:
    async def work() -> list[Any]:
        async with (
            Proxy(redis_server.port).running() as proxy,
            opened(f"redis://127.0.0.1:{proxy.port}", prefix="{cancel}:", fetch_timeout_s=2.0) as store,
        ):
            await store.append([click("a", "1")])
            await store.fetch(["a"])
            proxy.delay_s = 0.05
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(store.fetch(["nobody", "a"]), 0.01)
            proxy.delay_s = 0.0
            return (await store.fetch(["a"])).users

    with raw(redis_server.tcp_url) as client:
        client.flushall()

    assert run(work()) == [UserState(None, (RecentItem("1", 1, 1.0, "click"),))]


def test_more_calls_at_once_than_connections_all_get_their_answer(server_url: str) -> None:
    async def work() -> list[list[UserState]]:
        async with opened(server_url, fetch_timeout_s=5.0) as store:
            await store.append([click(f"u{i}", str(i)) for i in range(200)])
            found = await asyncio.gather(*(store.fetch([f"u{i}"]) for i in range(200)))
            return [each.users for each in found]

    assert run(work()) == [[UserState(None, (RecentItem(str(i), i + 1, 1.0, "click"),))] for i in range(200)]


@pytest.mark.parametrize("key", ["log", "log:last", "r:b", "h:b", "dd"])
def test_a_key_of_a_wrong_type_fails_an_append_with_nothing_done(server_url: str, key: str) -> None:
    batch = [click("a", "1", "e1"), click("b", "2", "e2")]

    async def work() -> Appended:
        async with opened(server_url, event_id_window_s=10**9) as store:
            with raw(server_url) as client:
                name = "{rec}:" + (f"dd:{int(time.time() // 10**9)}" if key == "dd" else key)
                client.lpush(name, "x")
                with pytest.raises(StoreError) as failed:
                    await store.append(batch)
                assert type(failed.value) is StoreError
                client.delete(name)
                assert client.keys() == []
            return await store.append(batch)

    assert run(work()) == Appended(2, 0, 2)


@pytest.mark.parametrize("key", ["users", "items", "u:a", "t:a", "r:a", "h:a"])
def test_every_call_maps_a_key_of_a_wrong_type(server_url: str, key: str) -> None:
    async def work() -> None:
        async with opened(server_url) as store:
            with raw(server_url) as client:
                client.hset("{rec}:" + key, "x", "y")
            calls = [
                store.fetch(["a"]),
                store.put_users([user("a")]),
                store.put_items([item("a")]),
                store.list_users(None, 5),
                store.item_changes(0, 5),
                store.waiting("a", None, 9),
                store.append([click("a")]),
                store.delete_item("a"),
                store.delete_user("a"),
            ]
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert [
                each for each in results if isinstance(each, BaseException) and not isinstance(each, StoreError)
            ] == []

    run(work())


def test_a_broken_record_has_no_features_on_the_hot_path_and_is_an_error_when_asked_for(server_url: str) -> None:
    good = pack(user("good", x=1))

    async def work() -> tuple[list[UserState], int]:
        async with opened(server_url) as store:
            await store.put_users([user(each, x=1) for each in ("good", "empty", "format", "cut", "type")])
            await store.append([click("cut", "1")])
            with raw(server_url) as client:
                client.set("{rec}:u:empty", b"")
                client.set("{rec}:u:format", b"\x07" + good[1:])
                client.set("{rec}:u:cut", good[:-2])
                client.set("{rec}:u:type", b"\x01" + msgspec.msgpack.encode(["type", 5, 1.0]))
            for broken in ("empty", "format", "cut", "type"):
                with pytest.raises(StoreError, match="record"):
                    await store.get_users([broken])
            found = await store.fetch(["good", "empty", "format", "cut", "type", "unknown"])
            return found.users, found.unreadable

    users, unreadable = run(work())

    assert [state.features for state in users] == [{"x": 1}, None, None, None, None, None]
    assert users[3].recent == (RecentItem("1", 1, 1.0, "click"),)
    assert unreadable == 4


def test_log_entries_that_cannot_be_read_come_as_poison_in_their_place(server_url: str) -> None:
    bad = [b"", b"\x01junk", b"\x07" + pack(click())[1:], pack(click(weight=float("nan"))), pack(click(weight=-1.0))]

    async def work() -> list[LogEntry]:
        async with opened(server_url) as store:
            with raw(server_url) as client:
                for offset, payload in enumerate(bad, start=1):
                    client.xadd("{rec}:log", {"d": payload}, id=f"{offset}-0")
                client.xadd("{rec}:log", {"other": b"x"}, id=f"{len(bad) + 1}-0")
                client.set("{rec}:log:last", len(bad) + 1)
            await store.append([click("a")])
            return await store.read(0, 100)

    entries = run(work())

    assert [entry.offset for entry in entries] == [1, 2, 3, 4, 5, 6, 7]
    assert all(isinstance(entry.event, UnreadableEntry) and entry.event.reason for entry in entries[:6])
    assert entries[6].event == click("a")


def test_a_server_out_of_memory_still_reads_and_heals(own_redis: Server) -> None:
    async def work() -> tuple[list[UserState], Appended]:
        async with opened(own_redis.tcp_url) as store:
            await store.append([click("a", "1")])
            with raw(own_redis.tcp_url) as client:
                client.config_set("maxmemory", "1")
                with pytest.raises(StoreFullError):
                    await store.append([click("a", "2")])
                with pytest.raises(StoreFullError):
                    await store.put_users([user("a")])
                users = (await store.fetch(["a"])).users
                client.config_set("maxmemory", "0")
            return users, await store.append([click("a", "2")])

    assert run(work()) == ([UserState(None, (RecentItem("1", 1, 1.0, "click"),))], Appended(1, 0, 2))


def test_event_ids_are_forgotten_after_two_windows(server_url: str) -> None:
    async def work() -> tuple[Appended, Appended, int]:
        async with opened(server_url, event_id_window_s=1) as store:
            await store.append([click(event_id="e")])
            again = await store.append([click(event_id="e")])
            with raw(server_url) as client:
                (bucket,) = client.keys("{rec}:dd:*")
                left_s = client.ttl(bucket)
            await asyncio.sleep(2.05)
            return again, await store.append([click(event_id="e")]), left_s

    again, later, left_s = run(work())

    assert again.duplicates == 1
    assert later.accepted == 1
    assert 0 < left_s <= 2


@pytest.mark.parametrize("kind", [*REDIS_ERRORS, OSError, TimeoutError, ConnectionResetError])
def test_no_error_of_the_client_leaves_unmapped(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    Exception.__init__(error, "it says so")

    async def work() -> None:
        connection = Connection("redis://127.0.0.1:1", 1.0)
        async with connection.session():
            raise error

    with pytest.raises(StoreError):
        run(work())


def test_nobody_listening_is_an_unavailable_store() -> None:
    async def work() -> None:
        for url in ("redis://127.0.0.1:1", "unix:///nowhere/at/all", "redis://no-such-host.invalid"):
            async with opened(url) as store:
                with pytest.raises(StoreUnavailableError):
                    await store.ping()

    run(work())


def test_a_password_is_shown_nowhere(own_redis: Server) -> None:
    with raw(own_redis.tcp_url) as client:
        client.config_set("requirepass", "right")
    url = f"redis://name:s3cret@127.0.0.1:{own_redis.port}/0?password=s3cret"

    async def work() -> str:
        async with opened(url) as store:
            with pytest.raises(StoreUnavailableError) as failed:
                await store.fetch(["a"])
            return f"{failed.value} {failed.value!r} {store!r}"

    shown = run(work())

    assert "s3cret" not in shown
    assert f"127.0.0.1:{own_redis.port}" in shown


@pytest.mark.parametrize("url", ["http://s3cret@x", "redis://:s3cret@x:port", "redis://:s3cret@[x", "s3cret", ""])
def test_a_malformed_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(InvalidDataError) as failed:
        open_store(url)

    assert "s3cret" not in str(failed.value)


def test_a_url_opens_the_store_of_its_kind() -> None:
    assert isinstance(open_store("memory:"), MemoryStore)
    assert isinstance(open_store("rediss://127.0.0.1:1"), RedisStore)


def test_the_rights_in_the_documentation_suffice(own_redis: Server) -> None:
    rights = ["+@read", "+@write", "+@scripting", "+@connection", "+time", "+info", "-@dangerous", "+info"]
    with raw(own_redis.tcp_url) as client:
        client.execute_command("ACL", "SETUSER", "rec", "on", ">pass", "~{rec}:*", *rights)

    async def work() -> UserState:
        async with opened(f"redis://rec:pass@127.0.0.1:{own_redis.port}") as store:
            await store.ping()
            await store.put_users([user("a", x=1)])
            await store.append([click("a", "1", "e"), click("a", "2")])
            await store.trim(1)
            await store.waiting("a", None, 9)
            return (await store.fetch(["a"])).users[0]

    assert run(work()) == UserState({"x": 1}, (RecentItem("2", 2, 1.0, "click"),))


def test_health_needs_no_right_to_ask_for_details(own_redis: Server) -> None:
    with raw(own_redis.tcp_url) as client:
        client.execute_command("ACL", "SETUSER", "rec", "on", ">pass", "~*", "+@all", "-info")

    async def work() -> list[str]:
        async with opened(f"redis://rec:pass@127.0.0.1:{own_redis.port}") as store:
            return (await store.ping()).warnings

    assert run(work()) == []


def test_health_warns_of_settings_that_lose_interactions() -> None:
    info = {
        "redis_version": "6.2.1",
        "maxmemory_policy": "allkeys-lru",
        "aof_enabled": 0,
        "aof_last_write_status": "err",
    }

    warnings = read_health(info, 0.1).warnings

    assert len(warnings) == 4
    assert (
        read_health({"redis_version": "7.0.15", "maxmemory_policy": "noeviction", "aof_enabled": 1}, 0.1).warnings == []
    )


def test_a_server_that_still_loads_is_unavailable(own_redis: Server) -> None:
    async def work() -> None:
        async with opened(own_redis.tcp_url) as store:
            await store.put_items([item(str(i), text="x" * 1000) for i in range(10_000)])
        own_redis.process.kill()
        own_redis.process.wait()
        options = ("--key-load-delay", "100", "--loading-process-events-interval-bytes", "1024")
        own_redis.process = start_redis_without_waiting(own_redis, *options)
        async with opened(own_redis.tcp_url) as store:
            with pytest.raises(StoreUnavailableError):
                await store.fetch(["a"])
        wait_until(lambda: accepts(own_redis.port))

    run(work())


def start_redis_without_waiting(server: Server, *options: str) -> Any:
    return start_redis(server.folder, server.port, *options, wait=False).process


def test_listing_walks_over_no_deleted_items_and_takes_what_an_earlier_release_left(server_url: str) -> None:
    async def work() -> tuple[list[str], int, list[str], int]:
        async with opened(server_url) as store:
            await store.put_items([item(f"old{i}") for i in range(3_000)])
            with raw(server_url) as client:
                for i in range(3_000):
                    if i < 2_990:
                        await store.delete_item(f"old{i}")
                    else:  # as an earlier release did
                        client.delete(f"{{rec}}:i:old{i}")
                await store.put_items([item("live")])
                client.config_resetstat()
                listed, _ = await store.list_items(None, 1)
                read = client.info("commandstats")["cmdstat_mget"]["calls"]
                await store.forget_items([f"old{i}" for i in range(3_000)])
                keys = client.zcard("{rec}:gone") + client.zcard("{rec}:items")
            return (
                [each.item_id for each in listed],
                read,
                [each[1] for each in (await store.item_changes(0, 9)).changes],
                keys,
            )

    listed, read, changed, keys = run(work())

    assert listed == changed == ["live"]
    assert read <= 6  # the ten of before are walked over, a page of two at a time; the others are not
    assert keys == 1


def test_a_vector_of_384_numbers_takes_less_than_2_000_bytes_of_the_server(server_url: str) -> None:
    n, vectors = 1_000, np.random.default_rng(0).normal(size=(1_000, 384)).tolist()
    with raw(server_url) as client:
        before = client.info("memory")["used_memory"]

    async def work() -> None:
        async with opened(server_url) as store:
            await store.put_items([item(f"{row}", text=pack_vector(vector)) for row, vector in enumerate(vectors)])

    run(work())
    with raw(server_url) as client:
        used = client.info("memory")["used_memory"] - before

    assert 768 * n < used < 2_000 * n
