"""What Ray is told, and what of it somebody has said already."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.ray_runtime import environment, proc, service_process
from deployments.ray_runtime.environment import SETTINGS, node_environment, service_environment
from deployments.ray_runtime.isolation import FOLDER_OF_STATE, PORTS
from tests.support.waiting import wait_for

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("RAY_", "OMP_"))]:
        monkeypatch.delenv(name)


def test_a_service_has_every_setting_ports_of_its_own_and_a_ray_of_its_own():
    variables = service_environment(18_000)
    shutil.rmtree(variables[FOLDER_OF_STATE])

    assert SETTINGS.items() <= variables.items()
    assert PORTS.keys() <= variables.keys()
    assert variables["RAY_ADDRESS"] == "local"
    assert variables["PATH"].startswith(f"{Path(sys.executable).parent}{os.pathsep}")


def test_what_is_set_already_is_left_alone(monkeypatch):
    monkeypatch.setenv("RAY_SERVE_HAPROXY_METRICS_PORT", "9999")
    monkeypatch.setenv("RAY_worker_niceness", "3")
    variables = service_environment(18_000)
    shutil.rmtree(variables[FOLDER_OF_STATE])

    assert variables["RAY_SERVE_HAPROXY_METRICS_PORT"] == "9999"
    assert variables["RAY_worker_niceness"] == "3"


def test_a_node_asks_for_a_token_and_keeps_the_ports_that_its_firewall_knows():
    variables = node_environment({"RAY_health_check_period_ms": "1000"})
    shutil.rmtree(variables[FOLDER_OF_STATE])

    assert variables["RAY_AUTH_MODE"] == "token"
    assert variables["RAY_health_check_period_ms"] == "1000"
    assert PORTS.keys().isdisjoint(variables)


def test_what_ray_starts_for_haproxy_can_be_executed_in_a_checkout_and_is_a_script_elsewhere(monkeypatch):
    assert environment.haproxy_script().stat().st_mode & stat.S_IXUSR

    monkeypatch.setattr(environment, "__file__", "/nowhere/environment.py")
    assert environment.haproxy_script().name == "recommender-haproxy"


def test_make_prints_the_same_settings():
    command = [sys.executable, "-m", "deployments.ray_runtime.environment"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert dict(word.split("=", 1) for word in printed.split()) == environment.settings()


def test_what_is_missing_is_named(monkeypatch):
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    assert environment.missing() == {}

    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert environment.missing() == {"OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"host": "0.0.0.0", "port": 80}, "http://127.0.0.1:80"),  # noqa: S104 (nothing is bound)
        ({"host": "10.0.0.1", "port": 8001}, "http://10.0.0.1:8001"),
    ],
)
def test_where_this_machine_reaches_the_service(options, url):
    assert service_process.url_of(options) == url


def test_a_child_that_heeds_no_signal_and_its_own_child_are_ended(monkeypatch):
    monkeypatch.setattr(service_process, "ENDS_WITHIN_S", 0.2)
    monkeypatch.setattr(service_process, "LINGERS_S", 0.2)
    deaf = "trap '' INT TERM; sleep 600 & echo on; while true; do sleep 1; done"
    child = subprocess.Popen(["/bin/sh", "-c", deaf], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    started = proc.descendants(child.pid)
    assert started

    service_process.end(child)
    child.stdout.close()

    assert child.returncode == -9
    wait_for(lambda: not proc.still(started), 10)
