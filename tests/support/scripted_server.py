"""A server that answers what it is told, and remembers what it was asked."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Asked(NamedTuple):
    method: str
    path: str
    body: dict
    key: str | None


class Reply(NamedTuple):
    status: int
    body: object = None
    headers: dict[str, str] = {}  # noqa: RUF012 (nobody changes it)


HANG_UP = Reply(0)
"""Break the connection without an answer, after the question was read."""


class Talk:
    """What was asked, and where."""

    def __init__(self, answer: Callable[[Asked], Reply]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.url = ""

    def of(self, path: str) -> list[dict]:
        return [each.body for each in self.asked if each.path == path]


@contextmanager
def with_request_ids(answer: Callable[[Asked], Reply]) -> Iterator[Talk]:
    talk = Talk(answer)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            path = self.path.partition("?")[0]
            asked = Asked(self.command, path, json.loads(content or b"{}"), self.headers.get("authorization"))
            if path == "/healthz":
                return self.reply(Reply(200, {"status": "ok"}))
            talk.asked.append(asked)
            return self.reply(talk.answer(asked))

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 (the names that http.server asks for)

        def reply(self, reply: Reply) -> None:
            if reply is HANG_UP:
                self.close_connection = True
                return
            content = b"" if reply.body is None else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {**reply.headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        talk.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield talk
        finally:
            server.shutdown()
            thread.join()


def accepting(asked: Asked) -> Reply:
    """Takes whatever is written."""
    if asked.path == "/v1/interactions":
        return Reply(202, {"accepted": len(asked.body["interactions"]), "duplicates": 0})
    (records,) = asked.body.values()
    return Reply(200, {"created": len(records), "updated": 0})


def problem(status: int, detail: str = "", errors: list[dict] | None = None, **headers: str) -> Reply:
    body = {"type": "about:blank", "title": "x", "status": status, "detail": detail, "errors": errors or []}
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})
