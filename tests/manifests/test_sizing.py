"""The sizing page against what was measured: on catalogues and in benchmarks that its constants do not come from."""

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

from benchmarks.service.sizing import store_bytes
from recommender.stores import EmbeddedValkey

PATH = Path(__file__).parents[2] / "deploy" / "sizing.py"
SPEC = importlib.util.spec_from_file_location("sizing", PATH)
sizing = importlib.util.module_from_spec(SPEC)
sys.modules["sizing"] = sizing
SPEC.loader.exec_module(sizing)

NOT_CALIBRATED = sizing.SERVICE[1:-1]
WORLD = {"users": 10_000, "interactions": 500_000, "features": 5, "width": 64, "item_item": 0}
"""Of benchmarks.harness.fake_versions."""


def near(measured: float) -> object:
    return pytest.approx(measured, rel=0.25)


@pytest.mark.parametrize("row", NOT_CALIBRATED, ids=lambda row: f"{row['items']} items")
def test_throughput_of_a_catalogue_between_is_predicted(row):
    predicted = sizing.capacity(row["items"], row["busy_cores"], row["client_processor_ms"])

    assert predicted == near(row["rps"])


def test_throughput_of_another_benchmark_is_predicted():
    (many,) = (row for row in sizing.rows_of("overhead") if row["connections"] == 64)

    assert sizing.capacity(1_682, 2, sizing.SMALL["client_processor_ms"]) == near(many["service_rps"])


@pytest.mark.parametrize("row", sizing.SERVICE, ids=lambda row: f"{row['items']} items")
def test_a_snapshot_is_as_large_as_its_arrays(row):
    assert sizing.snapshot_mib(sizing.Need(items=row["items"], **WORLD)) == near(row["snapshot_mib"])


@pytest.mark.parametrize("row", [*NOT_CALIBRATED, sizing.LARGE], ids=lambda row: f"{row['items']} items")
def test_memory_of_the_whole_service_is_predicted(row):
    snapshot = sizing.snapshot_mib(sizing.Need(items=row["items"], **WORLD))

    assert sizing.memory_mib(snapshot) == near(row["pss_mib"])


def test_memory_of_one_and_four_predictors_is_predicted():
    for row in sizing.rows_of("memory")[:2]:
        a_process = row["process_without_snapshot_mib"]
        predicted = row["replicas"] * (a_process + sizing.grown_mib(row["snapshot_mib"])) + row["snapshot_mib"]

        assert predicted == near(row["shared_once_mib"])


def test_memory_of_a_training_between_is_predicted():
    row = sizing.TRAININGS["3M"]

    assert sizing.trainer_mib(row["interactions"]) == near(row["peak_gib"] * 1024)


def test_a_store_takes_what_is_predicted(tmp_path):
    server = EmbeddedValkey(tmp_path)
    server.start()
    try:
        measured = asyncio.run(store_bytes(server.url, records=20_000))
    finally:
        server.stop()

    for name, size in measured.items():
        if name.startswith("bytes_of"):
            assert sizing.STORE[name] == near(size)


def test_more_of_everything_needs_more():
    small, large = sizing.size(sizing.Need()), sizing.size(sizing.Need(1e6, 1e5, 1_000, 1e8, 1e6))

    assert vars(small).keys() == vars(large).keys()
    assert all(vars(large)[name] >= vars(small)[name] for name in vars(small) if name != "memory_mib_a_node")
    assert (small.ingress, small.fetchers, small.predictors) == (2, 2, 2)


def test_the_page_says_the_constants_that_are_counted_with():
    page = (PATH.parents[1] / "docs" / "many-machines.md").read_text()
    a_request = sum(sizing.request_ms(part) for part in ("ingress", "fetcher", "proxy", "store"))
    an_item = sizing.predictor_ms(1_000) - sizing.predictor_ms(0)
    million = sizing.trainer_mib(1e6) - sizing.trainer_mib(0)
    store = {name: sizing.STORE[f"bytes_of_a_{name}"] for name in ("user", "item", "interaction")}
    event_id = sizing.STORE["bytes_of_a_interaction_with_event_id"] - store["interaction"]

    assert f"({sizing.idle_cores():.2f} + R · (c + p) / 1000) / {sizing.BUSY}" in page
    assert f"c = {a_request:.2f} ms" in page
    assert f"p = {sizing.predictor_ms(0):.2f} + {an_item:.4f} · M / 1000 · d / {sizing.MEASURED_WIDTH} ms" in page
    assert f"{sizing.memory_mib(0) / 1024:.1f} GiB + 2 snapshots" in page
    assert f"{sizing.grown_mib(1):.2f} snapshots for each" in page
    assert f"{sizing.trainer_mib(0) / 1024:.2f} GiB + {million / 1024:.2f} GiB for each million of I" in page
    records = f"{store['user']} N + {store['item']} M + {store['interaction']} J"
    assert f"{records} + {sizing.EVENT_ID_DAYS} · {event_id} J" in page
