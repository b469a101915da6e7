"""Who is refused when a replica of the ingress has its hands full, and who is not."""

import asyncio

import httpx

from deployments.http.admission_middleware import AdmissionMiddleware
from deployments.ray_runtime.haproxy import NEVER_REFUSED


class Slow:
    """An application that answers when it is told to."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self._asked: asyncio.Queue[str] = asyncio.Queue()

    async def __call__(self, scope, _receive, send) -> None:
        self._asked.put_nowait(scope["path"])
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def is_asked(self, times: int) -> None:
        for _ in range(times):
            await self._asked.get()


def client_of(app) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


def test_what_is_too_much_is_refused_at_once_and_the_rest_is_answered():
    async def scene() -> None:
        slow = Slow()
        async with client_of(AdmissionMiddleware(slow, 2)) as client:
            under_way = [asyncio.create_task(client.get("/v1/popular")) for _ in range(2)]
            await slow.is_asked(2)
            refused = await client.post("/v1/interactions", json={})
            looks = [asyncio.create_task(client.get(path)) for path in NEVER_REFUSED]
            await slow.is_asked(len(NEVER_REFUSED))
            slow.may_answer.set()
            answers = await asyncio.gather(*under_way, *looks)
            afterwards = await client.get("/v1/popular")

        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.headers["content-type"] == "application/problem+json"
        assert (refused.json()["status"], refused.json()["title"]) == (503, "Service Unavailable")
        assert {answer.status_code for answer in [*answers, afterwards]} == {200}

    asyncio.run(scene())


def test_a_place_is_free_again_when_a_client_goes_away():
    async def scene() -> None:
        slow = Slow()
        async with client_of(AdmissionMiddleware(slow, 1)) as client:
            gone = asyncio.create_task(client.get("/v1/popular"))
            await slow.is_asked(1)
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            slow.may_answer.set()

            assert (await client.get("/v1/popular")).status_code == 200

    asyncio.run(scene())
