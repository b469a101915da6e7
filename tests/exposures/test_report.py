"""What came of what was shown, by version, variant, placement, position and day."""

import pytest
from msgspec import structs
from scipy import stats

from recommender.exposures import Ledger, attribute
from recommender.exposures.experiment_counts import LedgerCounts
from recommender.exposures.report import AttributionQuery, report
from recommender.stores.protocols import LogEntry
from tests.support.exposures import NOW, clicked, entries, exposure

DAY = 86_400.0


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def fill(ledger: Ledger, exposures, events=()) -> None:
    ledger.add_exposures(entries(exposures, ledger.offsets().stream + 1))
    first = ledger.offsets().log + 1
    log = [LogEntry(offset, event) for offset, event in enumerate(events, first)]
    attribute(ledger, log, first + len(log) - 1, NOW)


def rows(ledger: Ledger, *query, n_items: int | None = None) -> list[dict]:
    return report(ledger, AttributionQuery(*query), n_items)["rows"]


def test_a_rate_is_the_share_of_exposures_with_an_interaction_and_has_wilsons_interval(ledger):
    shown = [exposure(f"r{number}", f"u{number % 5}", model_version="7") for number in range(10)]
    events = [clicked("a", named="r0", user_id="u0"), clicked("b", named="r0", user_id="u0")]
    fill(ledger, shown, [*events, clicked(named="r1", user_id="u1"), clicked(named="r2", user_id="u2", event="buy")])
    [row] = rows(ledger)
    low, high = stats.binomtest(2, 10).proportion_ci(method="wilson")

    assert (row["version"], row["exposures"], row["users"]) == ("7", 10, 5)
    assert row["interactions"] == {"buy": 1, "click": 3}
    rate = row["rates"]["click"]
    assert (rate.rate, rate.low, rate.high) == (0.2, pytest.approx(low), pytest.approx(high))


def test_positions_have_their_own_rates_and_users(ledger):
    fill(ledger, [exposure("1", items=["a", "b"]), exposure("2", "v", ["a"])], [clicked("b", named="1")])
    first, second = rows(ledger, "position")

    assert (first["position"], first["exposures"], first["users"], first["rates"]) == (1, 2, 2, {})
    assert (second["position"], second["exposures"], second["users"]) == (2, 1, 1)
    assert second["rates"]["click"].rate == 1.0
    assert "coverage" not in second


def test_days_and_placements_are_told_apart_and_filtered_by(ledger):
    shown = [exposure("1", placement="home", at=NOW - 2 * DAY), exposure("2", placement="home"), exposure("3")]
    fill(ledger, shown)

    assert [row["exposures"] for row in rows(ledger, "day")] == [1, 2]
    assert [(row["placement"], row["exposures"]) for row in rows(ledger, "placement")] == [(None, 1), ("home", 2)]
    assert [row["exposures"] for row in rows(ledger, "day", "home")] == [1, 1]
    assert [row["exposures"] for row in rows(ledger, "placement", "home", NOW - DAY)] == [1]
    assert [row["exposures"] for row in rows(ledger, "placement", "home", None, NOW - DAY)] == [1]
    assert rows(ledger, "version", "nowhere") == []


def test_rows_are_told_day_by_day(ledger):
    days = [NOW - 2 * DAY, NOW - 2 * DAY, NOW]
    shown = [exposure(str(number), model_version=str(number % 2), at=at) for number, at in enumerate(days)]
    fill(ledger, shown, [clicked("b", named="0", at=days[0] + 1)])
    first, last = (row["day"] for row in rows(ledger, "day"))
    told = rows(ledger, "version", None, None, None, True)

    assert [(row["day"], row["version"], row["exposures"]) for row in told] == [
        (first, "0", 1),
        (first, "1", 1),
        (last, "0", 1),
    ]
    assert [row["rates"].get("click") and row["rates"]["click"].rate for row in told] == [1.0, None, None]
    assert rows(ledger, "day", None, None, None, True) == rows(ledger, "day")
    by_position = rows(ledger, "position", None, None, None, True)
    assert [(row["day"], row["position"], row["exposures"]) for row in by_position] == [
        (first, 1, 2),
        (first, 2, 2),
        (last, 1, 1),
        (last, 2, 1),
    ]
    assert [list(row["interactions"]) for row in by_position] == [[], ["click"], [], []]


def test_variants_are_those_of_experiments_only(ledger):
    fill(
        ledger, [exposure("1"), exposure("2", experiment="e", variant="b"), exposure("3", experiment="e", variant="a")]
    )

    assert [(row["experiment"], row["variant"], row["exposures"]) for row in rows(ledger, "variant")] == [
        ("e", "a", 1),
        ("e", "b", 1),
    ]


def test_coverage_young_items_and_what_is_discoverable(ledger):
    ledger.add_items({"a": NOW - 30 * DAY, "b": NOW - 6 * DAY})
    fill(ledger, [exposure("1")], [clicked("b", named="1")] * 5 + [clicked("a", named="1")] * 4)
    [row] = rows(ledger, "version", n_items=8)

    assert row["coverage"] == 2 / 8
    assert row["young_exposures"] == 1 / 2
    assert row["young_interactions"] == 5 / 9
    assert row["discoverable"] == 1


def test_an_experiment_has_sums_over_its_users(ledger):
    arm = {"experiment": "e", "variant": "a"}
    shown = [exposure(f"r{number}", "u" if number < 3 else "v", latency_s=0.01, **arm) for number in range(4)]
    shown.append(exposure("nobody's", None, items=[], degraded=True, **arm))
    fill(ledger, shown, [clicked(named="r0"), clicked("b", named="r0"), clicked(named="r1")])
    counts = LedgerCounts(ledger).counts("e", "click")

    assert counts.keys() == {"a"}
    assert counts["a"][:9] == (2, 4, 2, 10, 4, 6, 5, 1, 1)
    assert 10 <= counts["a"].p99_ms <= 12
    assert LedgerCounts(ledger).counts("other", "click") == {}


def test_items_that_were_drawn_are_counted_with_what_came_of_them(ledger):
    drawn = exposure("1", items=["a", "b"])
    item = drawn.items[1]
    fill(ledger, [structs.replace(drawn, items=(drawn.items[0], structs.replace(item, propensity=0.5)))])
    fill(ledger, [exposure("2", items=["b"])], [clicked("a", named="1"), clicked("b", named="1"), clicked("b")])

    assert ledger.trials() == {"b": (1, 2)}
