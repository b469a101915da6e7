"""What is added to Ray's HAProxy: its configuration, and an end together with Ray."""

import subprocess
import sys
from pathlib import Path

import pytest

from deployments import haproxy

RAYS = """\
frontend http_frontend
    default_backend default_backend
backend default_backend
    http-request return status 404 content-type text/plain lf-string "Path '%[path]' not found."
"""
WITH_REPLICAS = (
    RAYS
    + """\
backend http-recommender
    default-server inter 5s check
    # Servers in this backend
    server one 127.0.0.1:30000 check observe layer4
    server two 127.0.0.1:30001 check observe layer4
    server fallback 127.0.0.1:8500 check backup
listen stats
  bind *:8404
"""
)


def test_each_replica_of_the_ingress_brings_places_and_the_fallback_none(tmp_path):
    configured = haproxy.configured(WITH_REPLICAS, {503: tmp_path / "503.http"})

    assert f"acl is_full be_conn gt {2 * haproxy.AT_ONCE}\n" in configured
    assert f"errorfile 503 {tmp_path}/503.http\n" in configured
    assert set(WITH_REPLICAS.splitlines()) <= set(configured.splitlines())
    assert haproxy.configured(configured, {}) == configured


def test_a_replica_that_has_fallen_silent_is_found_and_its_connections_are_broken():
    lines = haproxy.configured(WITH_REPLICAS, {}).splitlines()
    (ours,) = (number for number, line in enumerate(lines) if line.startswith("    default-server inter 2s tcp-ut 4s "))

    # a later default-server wins, and holds for the servers after it
    assert lines.index("    default-server inter 5s check") < ours
    assert all(lines.index(line) > ours for line in lines if line.startswith("    server "))


def test_the_places_of_a_replica_on_this_machine_are_filled_first():
    elsewhere_first = WITH_REPLICAS.replace("one 127.0.0.1", "one 192.0.2.7")
    lines = haproxy.configured(elsewhere_first, {}).splitlines()
    servers = [line.split()[1] for line in lines if line.startswith("    server ")]

    assert servers == ["two", "one", "fallback"]
    assert "    balance first" in lines
    # more than are let in, so that whoever looks after the service finds a place
    (places,) = (int(line.split()[-1]) for line in lines if line.startswith("    default-server inter 2s"))
    assert places > haproxy.AT_ONCE


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
def test_haproxy_ends_with_the_ray_that_it_belongs_to(ends_first):
    ray, proxy = (subprocess.Popen(["/bin/sleep", "60"]) for _ in range(2))
    script = Path(haproxy.__file__)
    watcher = subprocess.Popen([sys.executable, "-I", script, haproxy.WATCH, str(ray.pid), str(proxy.pid)])
    try:
        (ray if ends_first == "ray" else proxy).kill()

        assert watcher.wait(10) == 0
        assert proxy.wait(10) != 0
    finally:
        for each in (ray, proxy, watcher):
            each.kill()
            each.wait()
