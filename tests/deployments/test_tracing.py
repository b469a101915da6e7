"""Traces over OTLP: what a collector receives of a request, and that nothing depends on it."""

import asyncio
import logging
import socket
import subprocess
import sys
import time

import pytest

from deployments.http import tracing_middleware
from deployments.stages.answering import QueryAnswerer
from deployments.stages.chain import Chain
from deployments.stages.fetching import UserFetcher
from deployments.stages.near import Near
from deployments.stages.near_rule import NearRule
from deployments.stages.routing import QueryRouter
from deployments.stages.spans import traced_answerer, traced_fetcher
from deployments.telemetry import logs, metrics, otlp, tracing
from deployments.telemetry.training_trace import TrainingTrace
from recommender.errors import StoreUnavailableError
from recommender.schema import Query
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.stores import MemoryStore
from tests.support.known_worlds import shared_snapshot
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.service_in_process import ServiceInProcess

ROUTE = "GET /v1/users/{user_id}/recommendations"
ASKED = "/v1/users/u3/recommendations?k=3"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER = 2
"""Kind of a span in OTLP."""


class ServiceNearby(ServiceInProcess):
    """The same, whose requests are answered in the process that took them."""

    def _service(self, recommender):
        service = super()._service(recommender)
        near = Near(traced_fetcher(UserFetcher(self.store)), self.answerers[-1])
        service.router = QueryRouter(Chain(service._fetcher, service._predictor), near, NearRule("always"))
        return service


class BrokenStore(MemoryStore):
    """A store that does not answer."""

    async def fetch(self, _user_ids):
        raise StoreUnavailableError("it is away")


@pytest.fixture(autouse=True)
def _tracing_begins_and_ends_with_the_test(monkeypatch):
    monkeypatch.setattr(metrics, "observe", lambda *_, **__: None)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    tracing.tracer.cache_clear()
    yield
    tracing.tracer.cache_clear()
    logs.about([])


@pytest.fixture
def collector(monkeypatch):
    with OtlpReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        yield receiver


def recommender() -> Recommender:
    return Recommender(Catalogue(shared_snapshot()))


def by_name(spans) -> dict:
    return {span.name: span for span in spans}


@pytest.mark.parametrize("service", [ServiceNearby, ServiceInProcess], ids=["near", "along the chain"])
def test_a_request_is_one_trace_over_http_the_store_and_the_answer(service, monkeypatch, collector):
    [answer] = service(monkeypatch, recommender()).run((0, "GET", ASKED, None, "r", {"x-request-id": "order-1"}))
    spans = by_name(collector.wait_for_spans(3))

    assert answer.status_code == 200
    assert set(spans) == {ROUTE, "fetch users", "recommend"}
    http, fetch, answered = spans[ROUTE], spans["fetch users"], spans["recommend"]
    assert {span.trace_id for span in spans.values()} == {http.trace_id}
    assert (http.kind, http.parent_id) == (SERVER, "")
    assert fetch.parent_id == answered.parent_id == http.span_id
    assert http.begin <= fetch.begin <= fetch.end <= answered.begin <= answered.end <= http.end
    assert http.attributes == {
        "http.request.method": "GET",
        "http.route": "/v1/users/{user_id}/recommendations",
        "http.response.status_code": 200,
        "recommender.request_id": "order-1",
    }
    assert answered.attributes == {"recommender.batch_size": 1}
    assert http.resource["service.name"] == "lightfm-serve"
    assert not any(b"u3" in message for message in collector.raw)  # no id of a user leaves the house


def test_a_read_request_is_traced_too(monkeypatch, collector):
    ServiceInProcess(monkeypatch, recommender()).run((0, "GET", "/v1/items/i1/similar"))

    assert set(by_name(collector.wait_for_spans(3))) == {"GET /v1/items/{item_id}/similar", "fetch users", "read"}


def test_an_incoming_traceparent_is_continued_and_a_malformed_one_is_not(monkeypatch, collector):
    good = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "shop=1"}
    ServiceInProcess(monkeypatch, recommender()).run(
        (0, "GET", ASKED, None, "r", good),
        (0, "GET", ASKED, None, "r", {"traceparent": "00-nothing-like-it-01"}),
    )
    spans = [span for span in collector.wait_for_spans(6) if span.name == ROUTE]

    assert [(span.trace_id, span.parent_id) for span in spans if span.parent_id] == [(TRACE, PARENT)]
    assert len({span.trace_id for span in collector.spans}) == 2


def test_what_is_not_sampled_leaves_nothing_and_does_not_pass_on_a_trace(monkeypatch, collector):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    sampled = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    answers = ServiceInProcess(monkeypatch, recommender()).run(
        (0, "GET", ASKED),
        (0, "GET", ASKED, None, "r", {"traceparent": f"00-{TRACE}-{PARENT}-00"}),
        (0, "GET", "/healthz", None, "r", sampled),
        (0, "GET", ASKED, None, "r", sampled),
    )

    assert {answer.status_code for answer in answers} == {200}
    assert {span.trace_id for span in collector.wait_for_spans(3)} == {TRACE}
    assert len(collector.spans) == 3  # those of the last one alone, which was sampled by who asked


def test_each_sampled_request_of_a_micro_batch_has_the_spans_of_it(collector):
    parents = [f"00-{number:032x}-{number:016x}-01" for number in (1, 2)]
    asked = [logs.with_trace_parent("a", parents[0]), "b", logs.with_trace_parent("c", parents[1])]

    async def story() -> None:
        store = MemoryStore()
        near = Near(traced_fetcher(UserFetcher(store)), traced_answerer(QueryAnswerer(store)))
        near.answerer.serve(recommender())

        async def ask(request_id: str) -> None:
            logs.about([request_id])
            await near.recommend(Query(user_id="u3", k=3))

        await asyncio.gather(*(asyncio.create_task(ask(each)) for each in asked))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(metrics, "count", lambda *_, **__: None)
        patched.setattr(metrics, "show", lambda *_, **__: None)
        asyncio.run(story())
    spans = collector.wait_for_spans(4)

    assert sorted((span.name, int(span.trace_id, 16), int(span.parent_id, 16)) for span in spans) == [
        ("fetch users", 1, 1),
        ("fetch users", 2, 2),
        ("recommend", 1, 1),
        ("recommend", 2, 2),
    ]
    assert {span.attributes["recommender.batch_size"] for span in spans} == {3}


def test_a_store_that_is_away_and_a_model_that_is_missing_are_seen_in_the_trace(monkeypatch, collector):
    service = ServiceInProcess(monkeypatch, recommender())
    service.store = BrokenStore()
    monkeypatch.setattr(QueryAnswerer, "serve", lambda *_: None)
    [answer] = service.run((0, "GET", ASKED))
    spans = by_name(collector.wait_for_spans(3))

    assert answer.status_code == 503
    assert spans["fetch users"].attributes["recommender.degraded"] == ("features",)
    assert spans["recommend"].attributes["error.type"] == "NotFittedError"
    assert (spans[ROUTE].attributes["http.response.status_code"], spans[ROUTE].has_failed) == (503, True)
    assert not spans["fetch users"].has_failed


def test_a_caller_who_is_refused_is_a_span_that_has_not_failed(monkeypatch, collector):
    [answer] = ServiceInProcess(monkeypatch, recommender()).run((0, "GET", ASKED, None, "nobody"))
    [span] = collector.wait_for_spans(1)

    assert answer.status_code == span.attributes["http.response.status_code"] == 401
    assert not span.has_failed


def test_a_collector_that_is_away_costs_no_answer_and_is_told_of_once(monkeypatch, caplog):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
        monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
        answers = ServiceInProcess(monkeypatch, recommender()).run(*[(0, "GET", ASKED)] * 20)
        deadline = time.monotonic() + 60
        while not exporter_records(caplog):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    assert {answer.status_code for answer in answers} == {200}
    assert len(exporter_records(caplog)) == 1


def exporter_records(caplog) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name.startswith("opentelemetry.exporter")]


def test_where_nothing_is_configured_nothing_is_changed_and_nothing_imported():
    """In a process of its own: whatever was imported by another test stays imported."""
    code = (
        "import sys\n"
        "from deployments import app\n"
        "from deployments.http.tracing_middleware import traced\n"
        "from deployments.stages.fetching import UserFetcher\n"
        "from deployments.stages.spans import traced_fetcher\n"
        "from deployments.telemetry import otlp_metrics\n"
        "fetcher = UserFetcher(None)\n"
        "assert 'fetch' not in vars(traced_fetcher(fetcher))\n"
        "assert traced(print) is print\n"
        "otlp_metrics.begin()\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry.exporter.otlp')]\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=250)


@pytest.mark.parametrize(
    ("variables", "traces", "numbers"),
    [
        ({}, False, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_METRICS_EXPORTER": "none"}, True, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False, False),
    ],
)
def test_the_standard_variables_say_what_goes_out(monkeypatch, variables, traces, numbers):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert (otlp.is_wanted("traces"), otlp.is_wanted("metrics")) == (traces, numbers)


def test_without_the_exporter_serving_goes_on_and_the_log_says_what_to_install(monkeypatch, collector, caplog):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    [answer] = ServiceInProcess(monkeypatch, recommender()).run((0, "GET", ASKED))

    assert answer.status_code == 200
    assert "lightfm-serve[otlp]" in caplog.text
    assert collector.spans == []


def test_what_the_environment_says_of_the_service_wins(monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
    about = otlp.resource().attributes

    assert (about["service.name"], about["deployment.environment.name"]) == ("shop", "staging")
    assert about["service.version"]


def test_log_lines_name_a_traced_request_as_its_caller_does():
    logs.about([logs.with_trace_parent("order-1", f"00-{TRACE}-{PARENT}-01"), "order-2"])
    line = logs.Lines("%(message)s").format(
        logging.LogRecord("recommender", logging.WARNING, "", 0, "slow", None, None)
    )

    assert line == "slow [request_id=order-1,order-2]"
    assert logs.trace_parents() == [f"00-{TRACE}-{PARENT}-01"]


def test_a_training_is_a_trace_of_its_phases_within_that_of_who_asked_for_it(collector):
    logs.about([logs.with_trace_parent("by-hand", f"00-{TRACE}-{PARENT}-01")])
    training = TrainingTrace("full")
    for phase in ("reading the log", "fitting"):
        training.phase(phase)
    training.end({"mode": "full", "outcome": "failed", "reason": "of user 7"})
    spans = by_name(collector.wait_for_spans(3))

    whole = spans["train full"]
    assert (whole.trace_id, whole.parent_id, whole.has_failed) == (TRACE, PARENT, True)
    assert whole.attributes["recommender.outcome"] == "failed"
    assert {spans[name].parent_id for name in ("reading the log", "fitting")} == {whole.span_id}
    assert [spans[name].has_failed for name in ("reading the log", "fitting")] == [False, True]


def test_a_training_without_tracing_leaves_nothing():
    training = TrainingTrace("full")
    training.phase("fitting")
    training.end({"mode": "full", "outcome": "published"})

    assert tracing.tracer() is None
    assert tracing_middleware.traced(print) is print
