"""The embedded server lives exactly as long as its owner, alone in its folder, and loses nothing."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recommender.errors import StoreError, StoreFullError, StoreLockedError
from recommender.stores import EmbeddedValkey, embedded_valkey
from recommender.stores.protocols import StoreHealth
from tests.support.store_servers import click, is_alive, opened, raw, run, wait_until

OWNER = """
import sys
from pathlib import Path
from recommender.stores import EmbeddedValkey
valkey = EmbeddedValkey(Path(sys.argv[1]))
valkey.start()
print(valkey.url, flush=True)
sys.stdin.read()
valkey.stop()
"""

Start = Callable[[], EmbeddedValkey]


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a killed owner leaves behind goes too. Asks for `tmp_path` so that pytest has made its own before."""
    assert tmp_path.exists()
    with tempfile.TemporaryDirectory(prefix="rs") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server on the test's folder."""
    started: list[EmbeddedValkey] = []

    def start_one() -> EmbeddedValkey:
        valkey = EmbeddedValkey(tmp_path)
        started.append(valkey)
        valkey.start()
        return valkey

    yield start_one
    for valkey in started:
        valkey.stop()


@contextlib.contextmanager
def owner_of(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a server on the folder."""
    command = [sys.executable, "-c", OWNER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline().startswith("unix://")
        try:
            yield owner
        finally:
            owner.kill()


def pid_of(folder: Path) -> int:
    return int((folder / "valkey.pid").read_text())


def parents_of(pid: int) -> tuple[int, list[int]]:
    """The guardian and its reader."""
    guardian = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    children = Path(f"/proc/{guardian}/task/{guardian}/children").read_text().split()
    return guardian, [int(child) for child in children if int(child) != pid]


async def add(url: str, n: int) -> int:
    async with opened(url) as store:
        for _ in range(n):
            await store.append([click()])
        return (await store.state()).last_offset


def test_what_was_stored_is_there_after_a_restart(start: Start) -> None:
    valkey = start()
    run(add(valkey.url, 5))
    valkey.stop()
    valkey.start()

    assert run(add(valkey.url, 1)) == 6


def test_the_server_evicts_nothing_writes_everything_down_and_has_no_port(start: Start) -> None:
    valkey = start()
    with raw(valkey.url) as client:
        settings = client.config_get("*")

    expected = {
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "no",
        "port": "0",
        "save": "",
    }
    assert {name: settings[name] for name in expected} == expected
    assert settings["maxmemory"] == str(embedded_valkey.default_max_memory_bytes())


def test_nobody_else_can_reach_the_socket(start: Start) -> None:
    path = Path(start().url.removeprefix("unix://"))

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(os.fsencode(path)) <= 103


def test_stopping_ends_the_server_and_may_be_repeated(start: Start, tmp_path: Path) -> None:
    valkey = start()
    pid = pid_of(tmp_path)
    valkey.stop()
    valkey.stop()

    assert not is_alive(pid)
    assert not Path(valkey.url.removeprefix("unix://")).parent.exists()


def test_starting_twice_is_starting_once(start: Start, tmp_path: Path) -> None:
    valkey = start()
    pid = pid_of(tmp_path)
    valkey.start()

    assert pid_of(tmp_path) == pid


def test_a_killed_owner_takes_the_server_along(tmp_path: Path) -> None:
    with owner_of(tmp_path) as owner:
        pid = pid_of(tmp_path)
        processes = [pid, *parents_of(pid)[1], parents_of(pid)[0]]
        owner.kill()

        assert wait_until(lambda: not any(map(is_alive, processes))) < 1.0


def test_an_owner_that_ends_stops_the_server(tmp_path: Path) -> None:
    with owner_of(tmp_path) as owner:
        pid = pid_of(tmp_path)
        assert owner.stdin is not None
        owner.stdin.close()
        owner.wait(10)

        assert not is_alive(pid)


def test_a_folder_in_use_is_refused_and_the_message_names_the_process(start: Start, tmp_path: Path) -> None:
    with owner_of(tmp_path) as owner, pytest.raises(StoreLockedError, match=rf"in use by process {owner.pid};"):
        start()


def test_a_second_object_of_the_same_process_is_refused_too(start: Start) -> None:
    valkey = start()

    with pytest.raises(StoreLockedError, match=str(os.getpid())):
        start()
    assert run(add(valkey.url, 1)) == 1


def test_a_successor_starts_at_once_when_the_owner_was_killed(start: Start, tmp_path: Path) -> None:
    with owner_of(tmp_path) as owner:
        run(add(EmbeddedValkey(tmp_path).url, 10))
        owner.kill()
        owner.wait()

        assert run(add(start().url, 1)) == 11


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator[int]:
    """A server with ten entries whose owner and guardians were all killed."""
    with owner_of(tmp_path) as owner:
        pid = pid_of(tmp_path)
        guardian, readers = parents_of(pid)
        run(add(EmbeddedValkey(tmp_path).url, 10))
        for each in (guardian, *readers, owner.pid):
            os.kill(each, signal.SIGKILL)
        owner.wait()
    assert is_alive(pid)
    yield pid
    if is_alive(pid):
        os.kill(pid, signal.SIGKILL)


def test_an_orphan_is_replaced_and_nothing_is_lost(start: Start, orphan: int) -> None:
    valkey = start()

    assert not is_alive(orphan)
    assert run(add(valkey.url, 1)) == 11


def test_an_orphan_that_hangs_is_killed_and_nothing_is_lost(
    start: Start, orphan: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_valkey, "STOP_TIMEOUT_S", 0.3)
    os.kill(orphan, signal.SIGSTOP)

    valkey = start()

    assert not is_alive(orphan)
    assert run(add(valkey.url, 1)) == 11


def test_a_killed_server_comes_back_with_all_that_it_had_acknowledged(start: Start, tmp_path: Path) -> None:
    valkey = start()
    for round_ in range(1, 4):
        assert run(add(valkey.url, 50)) == 50 * round_
        kill_and_restart(valkey, tmp_path)

    assert run(add(valkey.url, 1)) == 151


def test_while_the_disk_is_full_writes_are_refused_reads_go_on_and_nothing_is_lost(
    start: Start, tmp_path: Path
) -> None:
    # with the signal held back, a server beyond its limit is told that the disk takes no more
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGXFSZ])
    valkey = start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGXFSZ])
    taken = run(add(valkey.url, 5))
    server, (_, hard) = pid_of(tmp_path), resource.prlimit(pid_of(tmp_path), resource.RLIMIT_FSIZE)
    resource.prlimit(server, resource.RLIMIT_FSIZE, (log_file(tmp_path).stat().st_size, hard))
    while (offset := added_one(valkey.url)) is not None:  # what it took unaware stays in its memory until there is room
        taken = offset

    assert run(last_offset(valkey.url)) == taken

    resource.prlimit(server, resource.RLIMIT_FSIZE, (hard, hard))
    wait_until(lambda: added_one(valkey.url) is not None)
    kill_and_restart(valkey, tmp_path)

    assert run(last_offset(valkey.url)) == taken + 1


def added_one(url: str) -> int | None:
    """The last offset; None where the store is full."""
    try:
        return run(add(url, 1))
    except StoreFullError:
        return None


async def last_offset(url: str) -> int:
    async with opened(url) as store:
        return (await store.state()).last_offset


def test_what_was_written_is_synced_every_second(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    valkey = start()
    synced: list[Path] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    for _ in range(3):
        assert valkey.ensure_running()

    assert synced == [log_file(valkey._folder)]


def kill_and_restart(valkey: EmbeddedValkey, folder: Path) -> None:
    killed = pid_of(folder)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: valkey.ensure_running() and pid_of(folder) != killed)


def test_a_killed_guardian_does_no_harm(start: Start, tmp_path: Path) -> None:
    valkey = start()
    run(add(valkey.url, 5))
    first = pid_of(tmp_path)
    os.kill(parents_of(first)[0], signal.SIGKILL)
    wait_until(lambda: valkey.ensure_running() and pid_of(tmp_path) != first)

    assert not is_alive(first)
    assert run(add(valkey.url, 1)) == 6


def test_a_lost_socket_is_noticed(start: Start) -> None:
    valkey = start()
    run(add(valkey.url, 5))
    Path(valkey.url.removeprefix("unix://")).unlink()
    wait_until(lambda: valkey.ensure_running() and Path(valkey.url.removeprefix("unix://")).exists())

    assert run(add(valkey.url, 1)) == 6


def test_a_server_that_cannot_start_is_tried_again_ever_more_rarely(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    valkey = start()
    monkeypatch.setenv("RECOMMENDER_VALKEY_SERVER", "/bin/false")
    attempts: list[float] = []
    launch = valkey._launch
    monkeypatch.setattr(valkey, "_launch", lambda: (attempts.append(time.monotonic()), launch()))
    os.kill(pid_of(tmp_path), signal.SIGKILL)
    wait_until(lambda: not valkey.ensure_running() and len(attempts) == 4)

    pauses = [later - earlier for earlier, later in itertools.pairwise(attempts)]
    assert all(pause >= least for pause, least in zip(pauses, (0.2, 0.4, 0.8), strict=True))
    monkeypatch.delenv("RECOMMENDER_VALKEY_SERVER")
    wait_until(valkey.ensure_running)


def log_file(folder: Path) -> Path:
    (found,) = (folder / "appendonlydir").glob("*.incr.aof")
    return found


def test_a_log_cut_short_loses_its_last_entry_only(start: Start) -> None:
    valkey = start()
    run(add(valkey.url, 100))
    valkey.stop()
    path = log_file(valkey._folder)
    os.truncate(path, path.stat().st_size - 3)
    valkey.start()

    async def length() -> int:
        async with opened(valkey.url) as store:
            return (await store.state()).length

    assert run(length()) == 99


def test_a_broken_log_is_refused_with_the_last_words_of_the_server(start: Start) -> None:
    valkey = start()
    run(add(valkey.url, 100))
    valkey.stop()
    path = log_file(valkey._folder)
    content = bytearray(path.read_bytes())
    middle = content.index(b"*", len(content) // 2)
    content[middle : middle + 4] = b"junk"
    path.write_bytes(content)

    with pytest.raises(StoreError, match=r"did not start: .*Bad file format reading the append only file"):
        valkey.start()
    with pytest.raises(StoreError, match="did not start"):
        valkey.start()


def test_a_folder_of_a_newer_engine_is_refused(start: Start, tmp_path: Path) -> None:
    start().stop()
    (tmp_path / "engine").write_text("valkey 99\n")

    with pytest.raises(StoreError, match="written by valkey 99, which valkey 9 cannot read"):
        start()


def test_a_folder_of_another_engine_is_refused(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not on PATH")
    start().stop()
    monkeypatch.setenv("RECOMMENDER_VALKEY_SERVER", binary)

    with pytest.raises(StoreError, match="written by valkey 9; redis 7 may not read it"):
        start()


@pytest.mark.parametrize(("binary", "words"), [("/bin/echo", "is no Valkey server"), ("/no/such", "cannot be run")])
def test_a_binary_that_is_no_server_is_named(
    start: Start, monkeypatch: pytest.MonkeyPatch, binary: str, words: str
) -> None:
    monkeypatch.setenv("RECOMMENDER_VALKEY_SERVER", binary)

    with pytest.raises(StoreError, match=f"{binary} {words}"):
        start()


def test_a_deep_folder_with_spaces_and_a_busy_process_make_no_difference(tmp_path: Path) -> None:
    folder = tmp_path / ("deep " * 10) / ("er" * 40) / "ünd 'so"
    busy = [os.open("/dev/null", os.O_RDONLY) for _ in range(40)]
    valkey = EmbeddedValkey(folder)
    try:
        valkey.start()
        assert run(add(valkey.url, 1)) == 1
        kill_and_restart(valkey, folder)
        assert run(add(valkey.url, 1)) == 2
    finally:
        valkey.stop()
        for descriptor in busy:
            os.close(descriptor)


def test_a_runtime_folder_that_somebody_else_put_there_is_refused(start: Start, tmp_path: Path) -> None:
    valkey = EmbeddedValkey(tmp_path)
    runtime = Path(valkey.url.removeprefix("unix://")).parent
    runtime.symlink_to(tmp_path)
    try:
        with pytest.raises(StoreError, match="somebody else"):
            start()
    finally:
        runtime.unlink(missing_ok=True)


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="cannot start"):
        EmbeddedValkey(tmp_path / "file" / "folder").start()


def test_two_folders_have_two_servers(tmp_path: Path) -> None:
    first, second = EmbeddedValkey(tmp_path / "1"), EmbeddedValkey(tmp_path / "2")
    try:
        first.start()
        second.start()
        run(add(first.url, 3))
        assert run(add(second.url, 1)) == 1
    finally:
        first.stop()
        second.stop()


def test_a_disk_that_does_not_take_what_was_written_is_said_until_it_does(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = start()
    monkeypatch.setattr(embedded_valkey, "SYNC_EVERY_S", 0.0)
    fsync, said = os.fsync, []

    def failing(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    async def fault() -> str | None:
        async with opened(store.url) as client:
            return (await client.ping()).fault

    for syncs in (fsync, failing, failing, fsync):
        monkeypatch.setattr(os, "fsync", syncs)
        assert store.ensure_running()
        said.append(run(fault()))

    assert said[0] is said[3] is None
    assert said[1] == said[2]
    assert "Input/output error" in (said[1] or "")
    assert [record.levelname for record in caplog.records if "Input/output" in record.message] == ["ERROR"]


def test_a_log_that_a_rewrite_took_away_is_no_fault(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    store = start()
    monkeypatch.setattr(embedded_valkey, "SYNC_EVERY_S", 0.0)

    def gone(_: int) -> None:
        raise FileNotFoundError

    async def fault() -> str | None:
        async with opened(store.url) as client:
            return (await client.ping()).fault

    monkeypatch.setattr(os, "fsync", gone)

    assert store.ensure_running()
    assert run(fault()) is None


def test_loading_may_take_longer_than_the_time_to_start_as_long_as_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = EmbeddedValkey(tmp_path / "store")
    first.start()

    async def fill() -> None:
        async with opened(first.url) as store:
            for start in range(0, 20_000, 5_000):
                await store.append([click(f"u{i}", "i") for i in range(start, start + 5_000)])

    run(fill())
    first.stop()
    slow = tmp_path / "slow"
    options = "--key-load-delay 200 --loading-process-events-interval-bytes 1024 --aof-use-rdb-preamble no"
    slow.write_text(f'#!/bin/sh\nexec {embedded_valkey.server_binary()} "$@" {options}\n')
    slow.chmod(0o755)
    monkeypatch.setenv("RECOMMENDER_VALKEY_SERVER", str(slow))
    second = EmbeddedValkey(tmp_path / "store", start_timeout_s=1.0)
    began = time.monotonic()
    second.start()
    took_s = time.monotonic() - began

    async def length() -> int:
        async with opened(second.url) as store:
            return (await store.state()).length

    try:
        assert run(length()) == 20_000
        assert took_s > 1.0
    finally:
        second.stop()


def test_memory_that_it_may_use_is_a_share_of_the_machines_and_is_told(start: Start) -> None:
    store = start()

    async def health() -> StoreHealth:
        async with opened(store.url) as client:
            return await client.ping()

    told = run(health())

    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert told.limit_bytes == embedded_valkey.default_max_memory_bytes() <= machine / 4
    assert 0 < (told.used_bytes or 0) < told.limit_bytes


def test_a_store_that_fills_up_says_so_before_it_is_full(tmp_path: Path) -> None:
    store = EmbeddedValkey(tmp_path / "store", max_memory_bytes=40 << 20)
    store.start()

    async def warnings() -> list[list[str]]:
        async with opened(store.url, max_backlog=2_500) as client:
            found = [(await client.ping()).warnings]
            await client.append([click(f"u{i}", "i") for i in range(2_000)])
            found.append((await client.ping()).warnings)
            with raw(store.url) as server:
                for n in range(30):
                    if server.info("memory")["used_memory"] < 0.8 * (40 << 20):
                        server.set(f"much{n}", b"x" * (1 << 20))
            return [*found, (await client.ping()).warnings]

    try:
        empty, half, full = run(warnings())
    finally:
        store.stop()

    assert empty == []
    assert [each for each in half if "2000 of at most 2500" in each]
    assert [each for each in full if "of its memory are used" in each]
