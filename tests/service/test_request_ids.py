"""The id of a request: in, out, and in what is logged of it."""

import re
import time

import pytest

from tests.support.running_service import RunningService
from tests.support.stopped_store import without_store


def test_the_id_of_a_request_comes_back(client):
    answer = client.get("/v1/popular", headers={"x-request-id": "mine-1"})

    assert answer.headers.get_list("x-request-id") == ["mine-1"]


def test_a_request_without_an_id_is_given_one(client):
    one, other = (client.get("/v1/popular").headers.get_list("x-request-id") for _ in range(2))

    assert len(one) == len(other) == 1
    assert re.fullmatch(r"[\x21-\x7e]{1,128}", one[0])
    assert one != other


def test_problems_have_the_id_too(client):
    answer = client.get("/v1/nothing", headers={"x-request-id": "mine-2"})

    assert (answer.status_code, answer.headers["x-request-id"]) == (404, "mine-2")


@pytest.mark.parametrize("bad", ["x" * 129, "two words"])
def test_an_id_that_is_none_is_refused(client, bad):
    answer = client.get("/v1/popular", headers={"x-request-id": bad})

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def logged(service: RunningService, words: str, within_s: float = 10) -> list[str]:
    """Lines of the console with these words, as soon as there are any."""
    end = time.monotonic() + within_s
    while not (found := [line for line in service.log.read_text().splitlines() if words in line]):
        assert time.monotonic() < end, service.log.read_text()[-2000:]
        time.sleep(0.1)
    return found


def test_the_log_of_another_hop_names_the_request(service, client):
    with without_store(service):
        client.get("/v1/users/196/recommendations", headers={"x-request-id": "mine-3"})
    lines = logged(service, "request_id=mine-3")

    assert any("recommender.feature_fetcher" in line for line in lines)
