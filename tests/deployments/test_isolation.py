"""Ports and folders that no other service of the machine has."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.ray_runtime import isolation
from deployments.ray_runtime.isolation import BLOCK, FILES, FOLDER_OF_STATE, PORTS

LONGEST_SOCKET = 107
NODE = "n" * 56


@pytest.fixture
def folder() -> Iterator[dict[str, str]]:
    made = isolation.folder()
    yield made
    shutil.rmtree(made[FOLDER_OF_STATE])


def test_the_folder_is_new_and_nobody_else_can_enter_it(folder):
    path = Path(folder[FOLDER_OF_STATE])

    assert path.stat().st_mode & 0o777 == 0o700
    assert list(path.iterdir()) == []
    assert {Path(folder[name]).parent for name in FILES} == {path}


def test_sockets_in_the_folder_of_a_node_have_paths_that_a_kernel_takes(folder):
    paths = [Path(folder[name]) for name in FILES if name.endswith("SOCKET_PATH")]

    assert len(paths) == 2
    assert all(len(str(each.parent / NODE / each.name)) <= LONGEST_SOCKET for each in paths)


def test_a_port_that_somebody_has_is_not_given_away():
    before = isolation.ports(18_000)
    taken = int(before["RAY_SERVE_FALLBACK_PROXY_HTTP_PORT"])
    with socket.create_server(("127.0.0.1", taken)):
        after = isolation.ports(18_000)

    assert after["RAY_SERVE_FALLBACK_PROXY_HTTP_PORT"] != before["RAY_SERVE_FALLBACK_PROXY_HTTP_PORT"]
    assert len({after[name] for name in PORTS} | {"18000"}) == len(PORTS) + 1


@pytest.mark.parametrize("http_port", [80, 8_000, 8_500, 29_999, 65_535])
def test_whatever_its_http_port_a_service_has_ports_beside_it_and_a_block_for_replicas(http_port):
    found = {name: int(port) for name, port in isolation.ports(http_port).items()}
    first, last = (found[f"RAY_SERVE_DIRECT_INGRESS_{end}_HTTP_PORT"] for end in ("MIN", "MAX"))

    assert last - first == BLOCK - 1
    assert all(1_024 <= port < 65_536 and port != http_port for port in found.values())
