"""From an answer to what came of it, over the whole way in one process without Ray."""

import asyncio
from types import SimpleNamespace

import pytest
from ray import serve

from deployments.args import ExposureArgs
from deployments.exposure_keeping import ExposureKeeping
from deployments.telemetry import metrics
from deployments.trainer import Trainer
from recommender.exposures import follower
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.simulation import PositionBasedModel, Simulator, Tastes, Visit
from tests.support.known_worlds import shared_snapshot
from tests.support.service_in_process import Handle, ServiceInProcess, _asked
from tests.support.waiting import wait_for

ADMIN = {"authorization": "Bearer a"}


class Whole(ServiceInProcess):
    """A service whose trainer takes over exposures, and does nothing else."""

    def __init__(self, monkeypatch, folder) -> None:
        super().__init__(monkeypatch, Recommender(Catalogue(shared_snapshot())))
        self.folder = folder

    def journey(self, work):
        async def run():
            service = self._service(self._recommenders[0])
            trainer = Trainer.func_or_class.__new__(Trainer.func_or_class)

            async def first_seen():
                return {}

            async def history(_ids, _user_id, _offset):
                return []

            trainer._exposures = ExposureKeeping(self.folder, self.store, ExposureArgs(), first_seen)
            trainer.history = history
            service._trainer = Handle(trainer)
            context = SimpleNamespace(servable_object=SimpleNamespace(service=service))
            self._monkeypatch.setattr(serve, "get_replica_context", lambda: context)

            async def no_replicas(*_):
                return [{"items": 20}]

            self._monkeypatch.setattr("deployments.http.service._ask_all", no_replicas)

            async def ask(method, path, body=None, key="a"):
                await service.exposures._writer.flush()
                await asyncio.to_thread(wait_for, lambda: trainer._exposures._keeper is not None, 30)
                await trainer._exposures._follower.follow()
                return await _asked(method, path, body, {"authorization": f"Bearer {key}"})

            try:
                return await work(ask)
            finally:
                trainer._exposures._task.cancel()
                await asyncio.gather(trainer._exposures._task, return_exceptions=True)

        return asyncio.run(run())


@pytest.fixture
def whole(monkeypatch, tmp_path):
    monkeypatch.setattr(follower, "SETTLE_S", 0.0)
    monkeypatch.setattr(metrics, "observe", lambda *_, **__: None)
    return Whole(monkeypatch, tmp_path)


def test_from_an_answer_to_a_rate(whole):
    async def work(ask):
        shown = (await ask("GET", "/v1/users/u1/recommendations?k=2")).json()
        name, item_id = shown["recommendation_id"], shown["items"][1]["item_id"]
        event = {"user_id": "u1", "item_id": item_id, "recommendation_id": name, "event": "buy"}
        assert (await ask("POST", "/v1/interactions", {"interactions": [event]})).status_code == 202
        listed = (await ask("GET", "/v1/exposures")).json()["exposures"]
        return shown, listed, (await ask("GET", "/v1/attribution?by=position")).json()

    shown, [listed], report = whole.journey(work)

    assert listed["recommendation_id"] == shown["recommendation_id"]
    assert listed["items"][1] == {"item_id": shown["items"][1]["item_id"], "position": 2, "interactions": {"buy": 1}}
    assert [row["rates"].get("buy", {}).get("rate") for row in report["rows"]] == [None, 1.0]


def test_a_deleted_user_is_in_no_page_from_then_on(whole):
    async def work(ask):
        await ask("PUT", "/v1/users/u1", {})
        for user in ("u1", "u2"):
            await ask("GET", f"/v1/users/{user}/recommendations")
        before = (await ask("GET", "/v1/exposures")).json()["exposures"]
        assert (await ask("DELETE", "/v1/users/u1")).status_code == 204
        return before, (await _asked("GET", "/v1/exposures", None, ADMIN)).json()["exposures"]

    before, after = whole.journey(work)

    assert {each["user_id"] for each in before} == {"u1", "u2"}
    assert {each["user_id"] for each in after} == {"u2"}


def test_what_single_users_were_shown_is_for_administrators(whole):
    async def work(ask):
        body = {"exposures": [{"items": ["a"], "placement": "elsewhere"}]}
        return [
            (await ask("GET", "/v1/exposures", key="w")).status_code,
            (await ask("GET", "/v1/attribution", key="r")).status_code,
            (await ask("POST", "/v1/exposures", body, "r")).status_code,
            (await ask("POST", "/v1/exposures", body, "w")).json()["accepted"],
            (await ask("GET", "/v1/attribution?by=placement")).json()["rows"][0]["placement"],
        ]

    assert whole.journey(work) == [403, 200, 403, 1, "elsewhere"]


@pytest.mark.parametrize("moment", ["2026-W01", "x", "-5", "2026-02-30"])
def test_what_is_no_moment_is_refused_by_name(whole, moment):
    async def work(ask):
        answers = [await ask("GET", f"/v1/attribution?{name}={moment}") for name in ("from", "to")]
        return [(each.status_code, each.json()["errors"][0]["loc"]) for each in answers]

    assert whole.journey(work) == [(422, "query.from"), (422, "query.to")]


def test_an_unknown_placement_exposes_nothing(whole):
    async def work(ask):
        answer = await ask("GET", "/v1/users/u1/recommendations?placement=nowhere")
        return answer.status_code, (await ask("GET", "/v1/exposures")).json()["exposures"]

    assert whole.journey(work) == (404, [])


def test_every_click_of_simulated_users_is_attributed_as_they_have_written_it_down(whole):
    """In one process: routes, buffer, stream, ledger; the same over the real service is in tests/service."""

    async def work(ask):
        loop = asyncio.get_running_loop()

        def call(method, path, body=None):
            return asyncio.run_coroutine_threadsafe(ask(method, path, body), loop).result(60).json()

        def recommend(user_id):
            answer = call("GET", f"/v1/users/{user_id}/recommendations?k=5")
            return Visit(answer["recommendation_id"], [item["item_id"] for item in answer["items"]])

        def send(clicks):
            events = [{**click._asdict(), "event": "click"} for click in clicks]
            for _ in range(2):  # an answer was lost, and they are sent again
                call("POST", "/v1/interactions", {"interactions": events})

        simulator = Simulator(PositionBasedModel(Tastes(), level=0.0), recommend, send, ["u1", "u2", "nobody"], seed=1)
        for _ in range(3):
            await asyncio.to_thread(simulator.day)
        return simulator.book, (await ask("GET", "/v1/exposures")).json()["exposures"]

    book, exposures = whole.journey(work)

    assert book.clicks > 5
    assert book.differences(exposures) == []
