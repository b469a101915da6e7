"""Estimates of a setting from what another has shown: in worlds with a known answer, and on Open Bandit Data.

`tests/fixtures/open_bandit_men.npz` has item, position, click and propensity of the 10,000 decisions of each of the two
policies of the campaign "men", from the sample of the Open Bandit Dataset in the wheel of obp 0.4.1 (ZOZO, CC BY 4.0).
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from lightfm_serve.cli.ope import ope
from recommender.datasets.exposure_file import write_exposures
from recommender.errors import InvalidDataError
from recommender.experiments.logged_exposures import decisions_of, read_target, with_target
from recommender.experiments.off_policy import LoggedDecisions, evaluate_off_policy, fit_reward_model

OPEN_BANDIT = np.load(Path(__file__).parents[1] / "fixtures" / "open_bandit_men.npz")
RATES = np.array([0.05, 0.1, 0.2, 0.4])
LOGGING, TARGET = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.1, 0.3, 0.5])
TRUE = float(RATES @ TARGET)


def world(n: int, seed: int = 0, logging=LOGGING, *, propensities=None) -> LoggedDecisions:
    random = np.random.default_rng(seed)
    actions = random.choice(4, n, p=logging)
    rewards = (random.random(n) < RATES[actions]).astype(np.float64)
    model = fit_reward_model(np.zeros(n, np.int64), actions, rewards)[0]
    said = logging if propensities is None else propensities
    return LoggedDecisions(rewards, said[actions], TARGET[actions], model[actions], np.full(n, float(model @ TARGET)))


def test_all_three_find_the_true_value_and_their_intervals_hold_it():
    report = evaluate_off_policy(world(20_000))

    for estimate in (report.ips, report.snips, report.dr):
        assert estimate.low < TRUE < estimate.high
        assert estimate.value == pytest.approx(TRUE, abs=0.02)
    assert report.logged.value == pytest.approx(float(RATES @ LOGGING), abs=0.01)
    assert report.weights.mean_weight == pytest.approx(1.0, abs=0.03)
    assert report.weights.warnings == []


@pytest.mark.parametrize("name", ["ips", "snips", "dr"])
def test_intervals_hold_the_truth_as_often_as_they_say(name):
    estimates = [getattr(evaluate_off_policy(world(2_000, seed)), name) for seed in range(300)]

    assert 0.91 <= np.mean([each.low <= TRUE <= each.high for each in estimates]) <= 0.99


def test_a_reward_model_and_normalising_make_the_estimate_surer():
    reports = [evaluate_off_policy(world(1_000, seed)) for seed in range(200)]
    spread = {name: np.std([getattr(each, name).value for each in reports]) for name in ("ips", "snips", "dr")}

    assert spread["dr"] < spread["ips"]
    assert spread["snips"] < spread["ips"]


def test_doubly_robust_is_right_where_the_propensities_are_wrong_but_the_model_is_right():
    wrong = world(50_000, propensities=np.array([0.25, 0.25, 0.25, 0.25]))
    report = evaluate_off_policy(wrong)

    assert abs(report.ips.value - TRUE) > 0.03
    assert report.dr.value == pytest.approx(TRUE, abs=0.01)


def test_few_effective_decisions_and_heavy_tails_are_said():
    rare = world(2_000, logging=np.array([0.9, 0.09, 0.009, 0.001]))
    weights = evaluate_off_policy(rare).weights

    assert weights.effective_sample_size < 100
    assert len(weights.warnings) == 2


def test_without_decisions_nothing_is_estimated():
    nothing = np.zeros(0)
    with pytest.raises(ValueError, match="no decision"):
        evaluate_off_policy(LoggedDecisions(*[nothing] * 5))


def bandit(policy: str) -> pd.DataFrame:
    columns = {name: OPEN_BANDIT[f"{policy}_{name}"] for name in ("item", "position", "click", "propensity")}
    frame = pd.DataFrame(columns).astype({"propensity": float, "click": float})
    return frame.rename(columns={"item": "item_id", "click": "reward"}).assign(recommendation_id="", user_id="")


@pytest.mark.parametrize(("logged", "wanted"), [("bts", "random"), ("random", "bts")])
def test_on_open_bandit_data_one_policys_log_tells_the_others_clicks(logged, wanted):
    own = bandit(wanted)
    share = own.groupby("position")["item_id"].value_counts(normalize=True).rename("probability").reset_index()
    report = evaluate_off_policy(with_target(bandit(logged), share))
    true = own["reward"].mean()
    error = 1.96 * np.sqrt(true * (1 - true) / len(own))

    for estimate in (report.ips, report.snips, report.dr):
        assert estimate.low - error < true < estimate.high + error
    assert report.weights.mean_weight == pytest.approx(1.0, abs=0.15)


def exposures() -> list[dict]:
    random = np.random.default_rng(0)
    found = []
    for number in range(4_000):
        action = int(random.choice(4, p=LOGGING))
        taken = {"interactions": {"click": 1}} if random.random() < RATES[action] else {}
        drawn = {"item_id": f"i{action}", "position": 2, "propensity": float(LOGGING[action]), **taken}
        about = {"recommendation_id": f"r{number}", "user_id": f"u{number % 7}", "at": 0.0, "placement": None}
        versions = {"model_version": "1", "experiment": None, "variant": None}
        found.append({**about, **versions, "items": [{"item_id": "best", "position": 1}, drawn]})
    return found


def test_the_command_reads_what_export_writes(tmp_path):
    path, _ = write_exposures(tmp_path, exposures())
    target = pd.DataFrame({"item_id": [f"i{number}" for number in range(4)], "probability": TARGET})
    target.to_csv(tmp_path / "target.csv", index=False)
    ran = CliRunner().invoke(ope, [str(path), str(tmp_path / "target.csv"), "--json"])
    told = json.loads(ran.stdout)

    assert ran.exit_code == 0, ran.output
    assert told["dr"]["value"] == pytest.approx(TRUE, abs=0.03)
    assert told["weights"]["decisions"] == 4_000
    assert "effective" in CliRunner().invoke(ope, [str(path), str(tmp_path / "target.csv")]).stdout


def asked(folder, target: str, exposures_file: bytes | None = None):
    """What the command says of a target, as CSV."""
    path, _ = write_exposures(folder, exposures()[:50])
    if exposures_file is not None:
        path.write_bytes(exposures_file)
    (folder / "target.csv").write_text(target)
    return CliRunner().invoke(ope, [str(path), str(folder / "target.csv")])


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("item_id,probability\ni0,0.5\ni1,0.2\ni0,0.3\n", "item 'i0' is there twice"),
        ("item_id,probability\ni0,0.9\ni1,0.9\n", "come to 1.8"),
        ("item_id,position,probability\ni0,2,0.9\ni1,2,0.9\n", "come to 1.8"),
        ("item_id,probability\ni0,much\n", "not between 0 and 1"),
        ("item_id,probability\ni0,\n", "not between 0 and 1"),
        ("", "cannot be read as CSV"),
    ],
)
def test_a_target_that_is_no_distribution_is_refused_in_words(tmp_path, target, said):
    refused = asked(tmp_path, target)

    assert refused.exit_code == 1
    assert said in refused.output


def test_what_is_no_file_of_exposures_is_refused_in_words(tmp_path):
    refused = asked(tmp_path, "item_id,probability\ni0,0.5\n", b"PK")

    assert refused.exit_code == 1
    assert "cannot be read as Parquet" in refused.output


def test_ids_that_look_like_nothing_or_like_numbers_are_ids(tmp_path):
    for name in ("NA", "02100", "null"):
        (tmp_path / "target.csv").write_text(f"item_id,user_id,probability\n{name},nan,0.5\n")
        assert read_target(tmp_path / "target.csv")[["item_id", "user_id"]].to_numpy().tolist() == [[name, "nan"]]
    pd.DataFrame({"item_id": [5, 7], "probability": [0.5, 0.5]}).to_parquet(tmp_path / "target.parquet")

    assert read_target(tmp_path / "target.parquet")["item_id"].tolist() == ["5", "7"]


def test_a_target_that_fits_nothing_and_one_without_probabilities_are_refused(tmp_path):
    decisions = decisions_of(exposures()[:50], "click")
    with pytest.raises(InvalidDataError, match="ids the same"):
        with_target(decisions, pd.DataFrame({"item_id": ["x"], "probability": [1.0]}))
    path, _ = write_exposures(tmp_path, exposures()[:50])
    (tmp_path / "target.csv").write_text("item_id\ni0\n")
    refused = CliRunner().invoke(ope, [str(path), str(tmp_path / "target.csv")])

    assert refused.exit_code == 1
    assert "'probability' is missing" in refused.output
