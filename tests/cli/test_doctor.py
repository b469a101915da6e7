"""What the doctor says of services that are well and of those that are not."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from lightfm_serve.cli import main
from lightfm_serve.cli.health_checks import examine
from tests.support.shelves import registry_with

WELL = {"health": {"trainer": "ok", "store": "ok"}, "store": {"engine": "valkey", "version": "9", "warnings": []}}
GIVEN: list[str | None] = []
"""What came as keys."""
EVICTING = "maxmemory-policy is allkeys-lru: interactions may be evicted; set noeviction"


@contextmanager
def with_request_ids(answers: dict[str, tuple[int, object]], host: str = "127.0.0.1") -> Iterator[str]:
    """A server with an answer for each path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            GIVEN.append(self.headers["authorization"])
            status, body = answers.get(self.path.partition("?")[0], (404, {}))
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def states(url: str, **options: object) -> dict[str, str]:
    found = examine(url, None, None, **{"ray_jobs": f"{url}/nothing/", **options})
    return {finding.name: finding.state for finding in found}


def service(**changes: tuple[int, object]) -> dict[str, tuple[int, object]]:
    return {"/readyz": (200, {}), "/v1/popular": (200, {}), "/v1/status": (200, WELL)} | changes


def test_a_service_that_is_well_has_nothing_failed():
    with with_request_ids(service()) as url:
        found = states(url)

    assert "failed" not in found.values()
    assert {"service", "keys", "trainer", "store", "ray"} <= found.keys()


@pytest.mark.parametrize(
    ("changes", "name", "state"),
    [
        ({"/readyz": (503, {})}, "service", "failed"),
        ({"/v1/status": (401, {})}, "status", "failed"),
        ({"/v1/status": (200, WELL | {"health": {"trainer": "down"}})}, "trainer", "failed"),
        (
            {"/v1/status": (200, WELL | {"store": {"engine": "", "version": "", "warnings": [EVICTING]}})},
            "store",
            "warning",
        ),
    ],
)
def test_what_is_wrong_is_named(changes, name, state):
    with with_request_ids(service(**changes)) as url:
        assert states(url)[name] == state


def test_a_service_without_keys_that_others_can_reach_is_a_failure():
    with with_request_ids(service(), host="0.0.0.0") as url:  # noqa: S104 (this is what is to be found out)
        assert states(url)["keys"] == "failed"


def test_a_service_with_keys_may_be_reached_by_others():
    with with_request_ids(service(**{"/v1/popular": (401, {})}), host="0.0.0.0") as url:  # noqa: S104 (the same)
        assert states(url)["keys"] == "ok"


def test_a_job_api_that_asks_for_no_token_is_a_failure():
    with with_request_ids(service(**{"/api/jobs/": (200, [])})) as url:
        assert states(url, ray_jobs=f"{url}/api/jobs/")["ray"] == "failed"
    with with_request_ids(service(**{"/api/jobs/": (401, [])})) as url:
        assert states(url, ray_jobs=f"{url}/api/jobs/")["ray"] == "ok"


def test_a_version_that_is_damaged_is_named_and_nothing_is_moved(tmp_path):
    with with_request_ids(service()) as url:
        (tmp_path / "models").mkdir()
        found = {each.name: each for each in examine(url, None, tmp_path, f"{url}/nothing/")}

    assert found["versions"].state == "failed"
    assert found["versions"].advice
    assert found["disk"].said


def test_the_command_fails_and_says_what_to_do_when_nothing_answers(tmp_path):
    ran = CliRunner().invoke(main, ["doctor", "--url", "http://127.0.0.1:1", "--state-dir", str(tmp_path / "none")])

    assert ran.exit_code == 1
    assert "recommender serve" in ran.output


def test_a_state_folder_that_is_not_there_is_a_failure_in_words(tmp_path):
    with with_request_ids(service()) as url:
        ran = CliRunner().invoke(main, ["doctor", "--url", url, "--state-dir", str(tmp_path / "none")])

    assert ran.exit_code == 1
    assert f"there is no folder {tmp_path}/none" in ran.output


def test_what_is_on_disk_is_looked_at_although_nothing_answers(tmp_path):
    found = {each.name for each in examine("http://127.0.0.1:1", None, tmp_path, "http://127.0.0.1:1")}

    assert {"service", "versions", "disk"} <= found


@pytest.mark.parametrize("command", ["doctor", "models", "status"])
def test_each_command_takes_its_key_in_the_same_ways_and_none_on_the_command_line(tmp_path, monkeypatch, command):
    (tmp_path / "key").write_text("from-the-file\n")
    with with_request_ids(service(**{"/v1/models": (200, {"models": []})})) as url:
        url_of = ["--url", url]
        CliRunner().invoke(main, [command, *url_of, "--key-file", str(tmp_path / "key")])
        monkeypatch.setenv("RECOMMENDER_API_KEY", "from-the-environment")
        CliRunner().invoke(main, [command, *url_of])
        refused = CliRunner().invoke(main, [command, *url_of, "--key", "seen-by-ps"])

    assert {"Bearer from-the-file", "Bearer from-the-environment"} <= set(GIVEN)
    assert refused.exit_code == 2


@pytest.mark.parametrize("command", ["doctor", "models", "status"])
def test_a_url_without_its_scheme_is_named_and_mended(command):
    ran = CliRunner().invoke(main, [command, "--url", "127.0.0.1:8000"])

    assert ran.exit_code == 2
    assert "http://127.0.0.1:8000" in ran.output


def test_a_version_that_learning_cannot_go_on_from_is_named(tmp_path):
    registry_with(tmp_path / "models", "ready", "ready")
    path = tmp_path / "models" / "00000001" / "train_state.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 0xFF
    path.write_bytes(content)
    with with_request_ids(service()) as url:
        found = list(examine(url, None, tmp_path, ray_jobs=f"{url}/nothing/"))
    said = [each.said for each in found if each.name == "versions"]

    assert len(said) == 1
    assert "00000001/train_state.safetensors" in said[0]
