"""Two services on one machine, as staging beside production, both as `make serve` starts them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.running_service import RunningService, words

WATCHED_FOR_S = 10.0
"""After its first own answer."""


class Made(RunningService):
    """A service that `make serve` starts, with nothing set but its configuration."""

    def command(self) -> list[str]:
        return ["/usr/bin/make", "-s", "serve", f"CONFIG={self.config}"]

    def _ray_environment(self) -> dict[str, str]:
        return {}


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with Made(tmp_path_factory.mktemp("production"), dataset="synthetic").serving() as running:
        yield running


def test_a_service_that_starts_beside_another_answers_with_nothing_of_its_catalogue(production, tmp_path):
    staging = Made(tmp_path, dataset="none")
    staging.start()
    answers = []
    own = None
    try:
        begin = time.monotonic()
        while own is None or time.monotonic() < own + WATCHED_FOR_S:
            assert staging.process.poll() is None, staging.log.read_text()[-4000:]
            assert time.monotonic() < begin + 180
            for path in ("/healthz", "/readyz", "/v1/popular"):
                status = status_of(f"{staging.url}{path}")
                answers.append((path, status))
                own = own or (time.monotonic() if (path, status) == ("/healthz", 200) else None)
            time.sleep(0.05)

        assert {status for path, status in answers if path != "/healthz"} <= {None, 503}
        assert status_of(f"{production.url}/v1/popular") == 200
    finally:
        staging.stop()
    assert status_of(f"{production.url}/v1/popular") == 200


def test_the_files_of_haproxy_lie_in_a_folder_that_only_its_user_can_enter(production):
    (config,) = {path for path in map(config_of, everyone()) if path and f":{production.port}\n" in path.read_text()}

    assert not config.is_relative_to("/tmp/haproxy-serve")  # noqa: S108 (where everybody would look)
    for folder in (config.parent, config.parent.parent):
        assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (os.getuid(), 0o700)


def status_of(url: str) -> int | None:
    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.TransportError:
        return None


def everyone() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def config_of(pid: int) -> Path | None:
    """Configuration of a HAProxy that Ray started."""
    command = words(pid).decode(errors="replace").split("\0")
    if not command[0].endswith("/haproxy") or "-f" not in command:
        return None
    path = Path(command[command.index("-f") + 1])
    return path if path.exists() else None
