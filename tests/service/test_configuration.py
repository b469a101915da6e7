"""serve_config.yaml and what overrides it."""

import re
import subprocess

import pytest
import yaml
from pydantic import ValidationError
from ray.serve.schema import ServeDeploySchema

from deployments.args import AppArgs
from deployments.embedded_store import check_embedded
from deployments.ray_runtime.environment import SETTINGS
from recommender.models.feedback import Feedback
from recommender.training.incremental import IncrementSettings
from recommender.training.model_settings import ModelSettings
from recommender.training.serving_transform import ServingTransform
from tests.support.running_service import ROOT

CONFIG = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
(APPLICATION,) = CONFIG["applications"]


def test_the_shipped_configuration_is_valid_and_says_the_defaults():
    assert AppArgs(**APPLICATION["args"]) == AppArgs()


def test_the_defaults_of_the_model_are_those_of_the_library():
    assert AppArgs().settings() == ModelSettings()
    assert AppArgs().increment() == IncrementSettings()
    assert AppArgs().training.feedback() == Feedback()


def test_events_that_are_weighed_weigh_in_every_training():
    args = AppArgs(
        training={"event_weights": {"view": 0.3, "hide": -1}, "negative_below": 3}, model={"newcomer_quantile": 0.5}
    )

    assert args.training.feedback() == Feedback({"view": 0.3, "hide": -1}, 3)
    assert args.settings().use_weights
    assert args.increment().use_weights
    assert args.increment().settling == args.settings().settling == ServingTransform(newcomer_quantile=0.5)


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ({"redis_ulr": "embedded"}, "redis_ulr"),
        ({"model": {"components": 8}}, "components"),
        ({"model": {"history_components": 8, "history_weight": 0.3}}, "item_item and low_pass took their place"),
        ({"model": {"no_components": 0}}, "no_components"),
        ({"model": {"loss": "wrap"}}, "loss"),
        ({"training": {"holdout": 1.5}}, "holdout"),
        ({"training": {"event_weights": {"view": "much"}}}, "event_weights.view"),
        ({"training": {"event_weights": {"view": float("inf")}}}, "event_weights.view"),
        ({"model": {"newcomer_quantile": 1.5}}, "newcomer_quantile"),
    ],
)
def test_a_wrong_argument_is_refused_by_its_name(args, named):
    with pytest.raises(ValidationError, match=named):
        AppArgs(**args)


def test_the_environment_overrides_three_arguments(monkeypatch):
    monkeypatch.setenv("RECOMMENDER_DATASET", "none")
    monkeypatch.setenv("RECOMMENDER_REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("RECOMMENDER_STATE_DIR", "/elsewhere")
    args = AppArgs().with_environment()

    assert (args.dataset, args.redis_url, args.state_dir) == ("none", "redis://127.0.0.1:1", "/elsewhere")


def test_an_embedded_store_refuses_a_state_in_a_bucket_and_says_what_to_do():
    with pytest.raises(RuntimeError, match=r"state_dir is s3://bucket/state. Set redis_url"):
        check_embedded("embedded", "s3://bucket/state")


def test_two_replicas_of_each_deployment_on_the_request_path():
    replicas = {each["name"]: each["num_replicas"] for each in APPLICATION["deployments"]}

    assert replicas == {"Ingress": 2, "FeatureFetcher": 2, "Predictor": 2, "Trainer": 1}


@pytest.mark.filterwarnings("ignore:The `metrics_interval_s`:DeprecationWarning")
def test_the_autoscaling_configuration_is_the_shipped_one_with_numbers_that_follow_the_load():
    other = yaml.safe_load((ROOT / "deploy" / "serve_config.autoscaling.yaml").read_text())
    ServeDeploySchema.model_validate(other)
    for deployment, shipped in zip(other["applications"][0]["deployments"], APPLICATION["deployments"], strict=True):
        scaling = deployment.pop("autoscaling_config", None)
        if scaling:
            assert scaling["min_replicas"] == shipped["num_replicas"]
            assert scaling["target_ongoing_requests"] < deployment["max_ongoing_requests"]
            assert scaling["metrics_interval_s"] < scaling["look_back_period_s"]
            deployment["num_replicas"] = shipped["num_replicas"]

    assert other == CONFIG


def test_every_deployment_fits_a_machine_of_two_cores():
    assert sum(each["ray_actor_options"]["num_cpus"] * each["num_replicas"] for each in APPLICATION["deployments"]) < 2


def test_make_serve_sets_what_the_service_wants():
    shown = subprocess.run(["/usr/bin/make", "-s", "environment"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert {f"{name}={value}" for name, value in SETTINGS.items()} <= set(shown.stdout.split())


def test_no_file_names_a_package_index():
    listed = subprocess.run(["/usr/bin/git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    index = re.compile(r"(pypi|pythonhosted|npmjs|debian)\.(org|com)", re.IGNORECASE)
    texts = {
        name: (ROOT / name).read_text(errors="replace") for name in listed.stdout.split() if (ROOT / name).is_file()
    }

    assert [name for name, text in texts.items() if index.search(text)] == []
