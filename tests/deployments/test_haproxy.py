"""What is added to Ray's HAProxy: its configuration, and an end together with Ray."""

import http.client
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve.config import HTTPOptions

from deployments.ray_runtime import haproxy, orphans
from tests.support.running_service import free_port

pytestmark = pytest.mark.slow

RAYS = """\
global
    stats socket /run/own/admin.sock mode 666 level admin expose-fd listeners
listen stats
  bind *:8404
frontend http_frontend
    bind 127.0.0.1:8000
    default_backend default_backend
backend default_backend
    http-request return status 404 content-type text/plain lf-string "Path '%[path]' not found."
"""
_RULE = "    use_backend http-recommender if is_http-recommender\n"
WITH_REPLICAS = (
    RAYS.replace("    default_backend ", f"{_RULE}    default_backend ")
    + """\
backend http-recommender
    default-server inter 5s check
    # Servers in this backend
    server one 127.0.0.1:30000 check observe layer4
    server two 127.0.0.1:30001 check observe layer4
    server fallback 127.0.0.1:8500 check backup
"""
)
RAYS_WITHOUT_SERVERS = "".join(line for line in WITH_REPLICAS.splitlines(keepends=True) if "127.0.0.1:3000" not in line)


def test_each_replica_of_the_ingress_brings_places_to_wait_in_and_the_fallback_none(tmp_path):
    configured = haproxy.configured(WITH_REPLICAS, {503: tmp_path / "503.http"})

    assert f"acl is_full queue(http-recommender) gt {2 * haproxy.MOST_WAITING}\n" in configured
    assert f"timeout queue {haproxy.QUEUE_MS}ms\n" in configured
    assert f"errorfile 503 {tmp_path}/503.http\n" in configured
    ours = ("    stats socket /run/own/admin.sock mode 666 level admin expose-fd listeners", "  bind *:8404")
    assert set(WITH_REPLICAS.splitlines()) - set(ours) <= set(configured.splitlines())
    assert haproxy.configured(configured, {}) == configured


def test_a_replica_that_has_fallen_silent_is_found_and_its_connections_are_broken():
    lines = haproxy.configured(WITH_REPLICAS, {}).splitlines()
    ours = lines.index(f"    default-server inter 2s tcp-ut 4s maxconn {haproxy.AT_ONCE}")

    # a later default-server wins, and holds for the servers after it
    assert lines.index("    default-server inter 5s check") < ours
    assert all(lines.index(line) > ours for line in lines if line.startswith("    server "))


def test_the_places_of_a_replica_on_this_machine_are_filled_first():
    elsewhere_first = WITH_REPLICAS.replace("one 127.0.0.1", "one 192.0.2.7")
    configured = haproxy.configured(elsewhere_first, {})
    servers = [line.split()[1:] for line in configured.splitlines() if line.startswith("    server ")]

    assert [server[0] for server in servers[:3]] == ["two", "one", "fallback"]
    assert servers[0][-2:] == ["weight", str(haproxy._HERE_FIRST)]
    assert "weight" not in servers[1]
    assert "weight" not in haproxy.configured(WITH_REPLICAS, {})
    # of those that are known from before the weight is worked out anew
    again = haproxy.configured(haproxy.with_servers_known_before(RAYS_WITHOUT_SERVERS, configured), {})
    assert again.count("weight") == 1


def test_health_and_status_have_the_same_servers_without_a_limit_or_a_queue():
    text = haproxy.configured(WITH_REPLICAS, {})
    rules = [line for line in text.splitlines() if line.strip().startswith("use_backend")]
    watch = text.partition("backend watch-http-recommender\n")[2]

    assert rules[0].startswith("    use_backend watch-http-recommender if is_http-recommender { path /healthz ")
    assert rules[1] == "    use_backend http-recommender if is_http-recommender"
    for name, place in (("one", "127.0.0.1:30000"), ("two", "127.0.0.1:30001"), ("fallback", "127.0.0.1:8500")):
        assert f"    server {name} {place} track http-recommender/{name}" in watch
    assert "maxconn" not in watch
    assert "timeout queue" not in watch


def test_replicas_that_serve_does_not_name_while_it_builds_anew_go_on_answering():
    building = "".join(line for line in WITH_REPLICAS.splitlines(keepends=True) if "127.0.0.1:3000" not in line)
    before = haproxy.configured(WITH_REPLICAS, {})

    assert haproxy.with_servers_known_before(building, before) == WITH_REPLICAS
    assert haproxy.with_servers_known_before(building, RAYS) == building
    fewer = WITH_REPLICAS.replace("    server two 127.0.0.1:30001 check observe layer4\n", "")
    assert haproxy.with_servers_known_before(fewer, before) == fewer


def test_before_an_application_is_known_nobody_is_told_that_there_is_none():
    configured = haproxy.configured(RAYS, {})

    assert "status 404" not in configured
    assert "http-request return status 503 content-type application/problem+json" in configured
    assert "hdr Retry-After 1" in configured


@pytest.mark.parametrize("ends_first", ["ray", "haproxy"])
def test_haproxy_ends_with_the_ray_that_it_belongs_to_and_its_files_with_ray(ends_first, tmp_path):
    folder = tmp_path / "own" / "node"
    folder.mkdir(parents=True)
    ray, proxy = (subprocess.Popen(["/bin/sleep", "60"]) for _ in range(2))
    script = Path(haproxy.__file__)
    watcher = subprocess.Popen([sys.executable, "-I", script, haproxy.WATCH, str(ray.pid), str(proxy.pid), str(folder)])
    try:
        ended = ray if ends_first == "ray" else proxy
        ended.kill()
        ended.wait(10)

        assert watcher.wait(10) == 0
        assert proxy.wait(10) != 0
        assert folder.parent.exists() == (ends_first == "haproxy")
    finally:
        for each in (ray, proxy, watcher):
            each.kill()
            each.wait()


def test_a_haproxy_that_is_watched_for_a_living_ray_is_nothing_left_behind(tmp_path):
    ray, proxy, other = (subprocess.Popen(["/bin/sleep", "60"]) for _ in range(3))
    command = [sys.executable, "-I", haproxy.__file__, haproxy.WATCH, str(ray.pid), str(proxy.pid), str(tmp_path)]
    watcher = subprocess.Popen(command)
    try:
        until(lambda: orphans.is_of_a_service(proxy.pid))
        assert not orphans.is_of_a_service(other.pid)

        ray.kill()
        ray.wait()
        watcher.wait(10)
        assert not orphans.is_of_a_service(proxy.pid)
    finally:
        for each in (ray, proxy, other, watcher):
            each.kill()
            each.wait()


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[int]:
    """HAProxy as Ray starts it, with what this service adds, before a server that answers; its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = free_port()
        config = rendered(folder, port, server.server_port)
        command = [sys.executable, "-I", haproxy.__file__, "-db", "-f", config]
        proxy = subprocess.Popen(command, env=os.environ | environment)
        try:
            until(lambda: answers("127.0.0.1", port))
            yield port
        finally:
            proxy.kill()
            proxy.wait()
            server.shutdown()


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    released = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/slow":
            self.released.wait(60)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def rendered(folder: Path, port: int, server_port: int | None) -> Path:
    """What Ray writes, of the version that is installed, with one replica or before there is one."""
    files = {each: str(folder / each) for each in ("admin.sock", "server-state", "metrics.sock")}
    settings = HAProxyConfig(
        socket_path=files["admin.sock"],
        server_state_base=str(folder),
        server_state_file=files["server-state"],
        metrics_socket_path=files["metrics.sock"],
        http_options=HTTPOptions(host="127.0.0.1", port=port, keep_alive_timeout_s=60),
        metrics_port=free_port(),
        stats_port=free_port(),
        is_head=True,
    )
    backends = {}
    if server_port is not None:
        servers = [ServerConfig(name="one", host="127.0.0.1", port=server_port)]
        fallback = ServerConfig(name="fallback", host="127.0.0.1", port=free_port())
        name = "http-recommender"
        backends[name] = BackendConfig(
            name=name, path_prefix="/", app_name="recommender", servers=servers, fallback_server=fallback
        )
    api = HAProxyApi(settings, backend_configs=backends, config_file_path=str(folder / "haproxy.cfg"))
    api._generate_config_file_internal()
    return folder / "haproxy.cfg"


def answers(source: str, port: int) -> bool:
    """Whether a request from an address of this machine is answered within two seconds."""
    try:
        with socket.create_connection(("127.0.0.1", port), 2, (source, 0)) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return connection.recv(12) == b"HTTP/1.1 200"
    except OSError:
        return False


def until(true: Callable[[], bool], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("server_port", [None, 30_000])
def test_everything_is_added_to_what_the_installed_ray_writes(tmp_path, server_port):
    config = rendered(tmp_path, 8000, server_port)
    text = haproxy.configured(config.read_text(), haproxy._write_error_files(tmp_path))
    config.write_text(text)

    assert "mode 600 level admin" in text
    assert f"    timeout http-request {haproxy.HEAD_WITHIN_S}s\n" in text
    assert "timeout http-keep-alive 60s" in text
    assert ("acl is_full" in text) == (server_port is not None)
    subprocess.run([haproxy._binary(), "-c", "-f", config], check=True, capture_output=True)


@pytest.mark.parametrize(
    "changed",
    [
        ("backend http-", "backend app-"),
        ("frontend http_frontend", "frontend http"),
        ("mode 666", "mode 660"),
        ("    server one ", "    server-template one "),
        ("listen stats", "listen statistics"),
    ],
)
def test_a_template_of_ray_that_is_not_known_is_refused_aloud(tmp_path, changed):
    text = rendered(tmp_path, 8000, 30_000).read_text()
    assert changed[0] in text

    with pytest.raises(haproxy.UnknownTemplateError):
        haproxy.configured(text.replace(*changed), {})


def test_files_and_socket_are_this_users_alone(tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    with running(folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "admin.sock").stat().st_mode) == 0o600


def test_a_folder_of_somebody_else_and_one_that_all_may_change_are_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as as_other:
        as_other.setattr(haproxy.os, "getuid", lambda: 12_345)
        with pytest.raises(SystemExit, match="belongs to user"):
            haproxy.check_own(tmp_path)
    (tmp_path / "all").mkdir()
    (tmp_path / "all").chmod(0o777)
    (tmp_path / "all" / "ours").mkdir()
    with pytest.raises(SystemExit, match="everybody may change"):
        haproxy.check_own(tmp_path / "all" / "ours")


def test_slow_heads_of_one_address_take_nothing_from_others_and_are_given_up(tmp_path):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with running(tmp_path) as port, ExitStack() as slow:
        held = []
        for _ in range(4_500):
            with suppress(ConnectionError):  # one too many of this address
                connection = slow.enter_context(socket.create_connection(("127.0.0.1", port), 30))
                connection.sendall(b"GET / HTTP/1.1\r\nHost: lo")
                held.append(connection)

        assert answers("127.0.0.2", port)
        for connection in held:
            connection.settimeout(haproxy.HEAD_WITHIN_S + 20)
            with suppress(ConnectionError):
                while connection.recv(1_000):
                    pass
        assert answers("127.0.0.1", port)


def test_what_finds_no_place_waits_and_is_refused_when_it_has_waited_long_enough_and_health_is_not(tmp_path):
    def ask(path: str) -> tuple[int, str | None]:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as link:
            link.request("GET", path)
            answer = link.getresponse()
            return answer.status, answer.getheader("Retry-After")

    Answering.released.clear()
    with running(tmp_path, RECOMMENDER_AT_ONCE="1", RECOMMENDER_QUEUE_MS="300") as port:
        first: list[tuple[int, str | None]] = []
        holding = threading.Thread(target=lambda: first.append(ask("/slow")))
        holding.start()
        try:
            until(lambda: ask("/other")[0] == 503)
            begin = time.monotonic()
            assert ask("/other") == (503, "1")
            assert time.monotonic() - begin >= 0.3
            assert ask("/v1/status") == ask("/healthz") == (200, None)
        finally:
            Answering.released.set()
            holding.join()

        assert first == [(200, None)]
        assert ask("/other") == (200, None)
