"""What nobody should send: each gets a clear refusal, at once, and costs nobody else anything."""

import gzip
import json
import threading
import time
from pathlib import Path

import pytest

from tests.support.plain_http import Raw, ask, head, send
from tests.support.running_service import children_of, words

MARK = "f00dfeed"
"""Stands in many a bad input, and in no answer."""
AT_ONCE_MS = 100
MOST_MEMORY_KB = 32 * 1024
EVENTS = "/v1/interactions"


def event(**changes: object) -> bytes:
    return json.dumps({"interactions": [{"user_id": "u", "item_id": "i", **changes}]}).encode()


def raw_event(weight: bytes) -> bytes:
    return b'{"interactions":[{"user_id":"%s","item_id":"1","weight":%s}]}' % (MARK.encode(), weight)


BODIES = {
    "NaN": ("POST", EVENTS, raw_event(b"NaN")),
    "infinity by exponent": ("POST", EVENTS, raw_event(b"1e999")),
    "minus infinity": ("POST", EVENTS, raw_event(b"-Infinity")),
    "a weight of zero": ("POST", EVENTS, raw_event(b"0")),
    "a weight in words": ("POST", EVENTS, raw_event(b'"f00dfeed"')),
    "an integer of 5,000 digits": ("POST", EVENTS, raw_event(b"9" * 5000)),
    "a fraction of 5,000 digits that is too large": ("POST", EVENTS, raw_event(b"9" * 5000 + b".5")),
    "a boolean for a weight": ("POST", EVENTS, event(weight=True)),
    "a lone surrogate": ("POST", EVENTS, b'{"interactions":[{"user_id":"\\ud800","item_id":"1"}]}'),
    "a lone surrogate in a feature": ("PUT", "/v1/users/u", b'{"features":{"f":"\\udfff"}}'),
    "a lone surrogate in a field that nobody knows": ("PUT", "/v1/users/u", b'{"\\ud800":1}'),
    "a null byte in an id": ("POST", EVENTS, event(user_id="a\0b")),
    "an id of a line break": ("POST", EVENTS, event(item_id="\n")),
    "an id that is too long": ("POST", EVENTS, event(item_id=MARK * 100)),
    "an empty id": ("POST", EVENTS, event(user_id="")),
    "a number for an id": ("POST", EVENTS, event(user_id=5)),
    "a list for an id": ("POST", EVENTS, event(user_id=[MARK])),
    "a null for an id": ("POST", EVENTS, event(user_id=None)),
    "a timestamp in words": ("POST", EVENTS, event(timestamp=MARK)),
    "a timestamp as a boolean": ("POST", EVENTS, event(timestamp=False)),
    "a timestamp in milliseconds": ("POST", EVENTS, event(timestamp=1.7e12)),
    "a list where an object belongs": ("POST", EVENTS, b"[]"),
    "a string where an object belongs": ("POST", EVENTS, b'"f00dfeed"'),
    "10,001 interactions": ("POST", EVENTS, json.dumps({"interactions": [{}] * 10_001}).encode()),
    "nothing": ("POST", EVENTS, b" "),
    "half a body": ("POST", EVENTS, event()[:-3]),
    "two bodies": ("POST", EVENTS, event() * 2),
    "a comment": ("POST", EVENTS, b"/* f00dfeed */" + event()),
    "bytes that are no UTF-8": ("POST", EVENTS, b'{"interactions":"\xff\xfe"}'),
    "UTF-16": ("POST", EVENTS, event().decode().encode("utf-16")),
    "lists nested 100,000 deep": ("POST", EVENTS, b"[" * 100_000),
    "objects nested 100,000 deep": ("POST", EVENTS, b'{"interactions":' * 100_000),
    "features nested deep": ("PUT", "/v1/users/u", b'{"features":' + b'{"a":' * 10_000),
    "a feature that is a list of numbers": ("PUT", "/v1/users/u", b'{"features":{"a":[1]}}'),
    "more values of features than a thousand": (
        "PUT",
        "/v1/items/i",
        json.dumps({"features": {"a": ["b"] * 1001}}).encode(),
    ),
    "a boost that float32 does not hold": ("POST", "/v1/recommendations", b'{"requests":[{"boost":{"a:b":1e300}}]}'),
    "a feature that is an object": ("PUT", "/v1/users/u", b'{"features":{"a":{}}}'),
    "a feature beyond 64 bits": ("PUT", "/v1/users/u", b'{"features":{"a":18446744073709551616}}'),
    "a name of a feature that is too long": ("PUT", "/v1/items/i", json.dumps({"features": {MARK * 20: 1}}).encode()),
    "another id than in the path": ("PUT", "/v1/items/i", b'{"item_id":"f00dfeed"}'),
    "a title of a megabyte": ("PUT", "/v1/items/i", json.dumps({"title": "x" * 2**20}).encode()),
    "a huge k": ("POST", "/v1/recommendations", b'{"requests":[{"k":1000000000000000000000}]}'),
    "a negative k": ("POST", "/v1/recommendations", b'{"requests":[{"k":-1}]}'),
    "a fractional k": ("POST", "/v1/recommendations", b'{"requests":[{"k":1.5}]}'),
    "257 requests": ("POST", "/v1/recommendations", json.dumps({"requests": [{}] * 257}).encode()),
    "a filter without a colon": ("POST", "/v1/recommendations", b'{"requests":[{"filter":["f00dfeed"]}]}'),
    "no items to rank": ("POST", "/v1/rank", b'{"items":[]}'),
    "an item to rank that is a number": ("POST", "/v1/rank", b'{"items":[1]}'),
    "a mode that nobody knows": ("POST", "/v1/models", b'{"mode":"f00dfeed"}'),
    "a version that climbs out of the folder": ("PUT", "/v1/models/active", b'{"version":"../../etc/passwd"}'),
    "a version with a null byte": ("PUT", "/v1/models/active", b'{"version":"a\\u0000b"}'),
}

TARGETS = {
    "a null byte in a path": "/v1/users/a%00b",
    "a path that is no UTF-8": "/v1/users/%ff",
    "half an escape": "/v1/users/%e2%82/recommendations",
    "an id that is too long": "/v1/items/" + MARK * 100,
    "a path that climbs": "/v1/users/../../etc/passwd",
    "a path that climbs, escaped": "/v1/%2e%2e/%2e%2e/etc/passwd",
    "a path that is not there": f"/{MARK}",
    "two slashes": "//v1/popular",
    "a k of zero": "/v1/popular?k=0",
    "a negative k": "/v1/popular?k=-1",
    "a huge k": "/v1/popular?k=" + "9" * 4400,
    "a k in words": f"/v1/popular?k={MARK}",
    "a k with a null byte": "/v1/popular?k=1%00",
    "a diversity that is no number": "/v1/users/1/recommendations?diversity=nan",
    "a filter without a colon": f"/v1/popular?filter={MARK}",
    "101 filters": "/v1/popular?" + "&".join(["filter=a:b"] * 101),
    "a fallback that nobody knows": f"/v1/users/1/recommendations?fallback={MARK}",
    "a cursor that was never given out": f"/v1/users?cursor={MARK}",
    "a cursor with letters of another script": "/v1/items?cursor=%D9%A1",
    "a cursor of 600 digits": "/v1/items?cursor=" + "1" * 600,
    "a limit that is too large": "/v1/items?limit=1001",
}


def best_of(attempts: int, ask_again) -> Raw:
    """The fastest: what the machine does beside is not what is measured."""
    return min((ask_again() for _ in range(attempts)), key=lambda answer: answer.ms)


def check_refusal(answer: Raw, *statuses: int) -> None:
    assert answer.status in statuses
    problem = answer.problem
    assert problem["status"] == answer.status
    assert problem["detail"]
    assert MARK.encode() not in answer.body
    assert len(answer.body) < 1000
    assert answer.ms < AT_ONCE_MS


@pytest.mark.parametrize(("method", "target", "body"), BODIES.values(), ids=BODIES)
def test_a_bad_body_is_refused_at_once_with_the_reason_and_without_being_echoed(service, method, target, body):
    answer = best_of(3, lambda: ask(service, method, target, body))

    check_refusal(answer, 404, 422)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_bad_target_is_refused_at_once_with_the_reason_and_without_being_echoed(service, target):
    answer = best_of(3, lambda: ask(service, "GET", target))

    check_refusal(answer, 404, 422)


def test_an_unknown_field_is_named_so_that_a_typing_error_is_found_but_not_at_any_length(service):
    check_refusal(ask(service, "POST", EVENTS, event(**{"wieght": 1})), 422)
    assert b"wieght" in ask(service, "POST", EVENTS, event(**{"wieght": 1})).body
    assert len(ask(service, "POST", EVENTS, event(**{MARK * 10_000: 1})).body) < 1000


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE"])
def test_a_wrong_method_is_refused(service, method):
    answer = best_of(3, lambda: ask(service, method, EVENTS))

    assert answer.status == 405
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.ms < AT_ONCE_MS


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "*/*"])
def test_a_body_of_another_media_type_is_refused(service, media_type):
    check_refusal(best_of(3, lambda: ask(service, "POST", EVENTS, event(), Content_Type=media_type)), 415)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
def test_a_compressed_body_is_refused(service, encoding):
    body = gzip.compress(b" " * 10_000_000)

    check_refusal(best_of(3, lambda: ask(service, "POST", EVENTS, body, Content_Encoding=encoding)), 415)


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "9" * 5000, "5, 6"])
def test_a_length_that_is_none_is_refused(service, length):
    answer = send(service, head("POST", EVENTS, Content_Length=length) + event())

    assert 400 <= answer.status < 500
    assert answer.ms < 10 * AT_ONCE_MS


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /v1/popular\0 HTTP/1.1",
        b"GET /v1/\x7f\xff HTTP/1.1",
        b"GET " + b"/" * 40_000 + b" HTTP/1.1",
        b"BREW / HTTP/1.1",
        b"?",
    ],
)
def test_what_is_no_http_is_refused_before_it_reaches_the_service(service, request_line):
    answer = send(service, request_line + b"\r\nHost: localhost\r\n\r\n")

    assert 400 <= answer.status < 500


def test_a_header_of_fifty_kilobytes_is_refused(service):
    answer = ask(service, "GET", "/v1/popular", X_Long="x" * 50_000)

    assert 400 <= answer.status < 500


def test_of_a_key_given_twice_the_last_counts(service):
    answer = ask(service, "PUT", "/v1/users/twice", b'{"features":{"a":1},"features":{"b":2}}')

    assert json.loads(answer.body)["features"] == {"b": 2}


def test_a_slash_and_a_dot_in_an_escape_are_letters_of_an_id(service):
    assert ask(service, "PUT", "/v1/users/..%2Fme", b"{}").status in (200, 201)
    assert json.loads(ask(service, "GET", "/v1/users/..%2Fme").body)["user_id"] == "../me"


@pytest.mark.parametrize("dots", [".", ".."])
def test_dots_alone_are_an_id_too(service, dots):
    escaped = dots.replace(".", "%2E")

    assert ask(service, "PUT", f"/v1/users/{escaped}", b"{}").status in (200, 201)
    assert json.loads(ask(service, "GET", f"/v1/users/{escaped}").body)["user_id"] == dots
    assert ask(service, "GET", f"/v1/users/{escaped}/recommendations").status == 200


def ingresses(service) -> list[int]:
    return [pid for pid in children_of(service.process.pid) if b"ServeReplica:recommender:Ingress" in words(pid)]


def memory_kb(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(name)))


def post(body: bytes) -> bytes:
    return head("POST", EVENTS, Content_Length=len(body)) + body


def chunked(size: int) -> bytes:
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    return chunk * (size // 65_536) + b"0\r\n\r\n"


HUGE = {
    "50 MB with a length": (413, lambda: head("POST", EVENTS, Content_Length=50 * 2**20) + b" " * (50 * 2**20)),
    "50 MB in chunks": (413, lambda: head("POST", EVENTS, Transfer_Encoding="chunked") + chunked(50 * 2**20)),
    "400,000 bad events": (422, lambda: post(b'{"interactions":[' + b'{"user_id":"f00dfeed"},' * 400_000 + b"{}]}")),
    "15 MB of one string": (422, lambda: post(b'"' + b"x" * 15 * 2**20 + b'"')),
}


@pytest.mark.parametrize(("status", "request_bytes"), HUGE.values(), ids=HUGE)
def test_a_huge_body_is_refused_and_costs_little_memory(service, status, request_bytes):
    given = request_bytes()
    answer = send(service, given)  # the first one also warms the process up
    before = {pid: memory_kb(pid, "VmRSS") for pid in ingresses(service)}
    for pid in before:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the high-water mark starts from here
    answer = send(service, given)
    grown = {pid: memory_kb(pid, "VmHWM") - kb for pid, kb in before.items()}

    assert answer.status == status
    assert len(answer.body) < 1000
    assert MARK.encode() not in answer.body
    assert max(grown.values()) <= MOST_MEMORY_KB


def test_a_body_that_trickles_is_given_up_and_takes_nobody_elses_place(service):
    slow: list[Raw] = []

    def trickle() -> None:
        request = head("POST", EVENTS, Content_Length=100_000)
        slow.append(send(service, request, *[b" "] * 60, pause_s=0.25))

    threads = [threading.Thread(target=trickle) for _ in range(40)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    meanwhile = [ask(service, "GET", f"/v1/users/{number}/recommendations") for number in range(20)]
    for thread in threads:
        thread.join()

    assert {answer.status for answer in meanwhile} == {200}
    assert {answer.status for answer in slow} == {408}
    assert all(answer.problem["detail"] and 4_000 < answer.ms < 9_000 for answer in slow)
