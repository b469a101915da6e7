"""The chart of deploy/helm, linted and rendered by Helm itself: by default it says what deploy/kuberay.yaml does."""

import copy
import os
from pathlib import Path

import helm_python as helm
import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from deployments.args import AppArgs

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm"


def render(values: dict | None = None, name: str = "recommender") -> list[dict]:
    """Resources that an installation would make."""
    with helm.Chart.load(os.fspath(CHART)) as chart:
        chart.validate_schema(values or {})
        files = chart.render(values or {}, name=name, namespace="prod")
    texts = (text for path, text in sorted(files.items()) if path.endswith(".yaml"))
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def one(kind: str, values: dict | None = None, name: str | None = None) -> dict:
    (found,) = [each for each in render(values) if each["kind"] == kind and name in (None, each["metadata"]["name"])]
    return found


def serve_config(values: dict | None = None) -> dict:
    return yaml.safe_load(one("RayService", values)["spec"]["serveConfigV2"])


def bare(document: dict) -> dict:
    """Without what only a chart has: labels, a policy for pulling, a port of workers' metrics."""
    found = copy.deepcopy(document)
    found["metadata"] = {"name": found["metadata"]["name"]}
    cluster = found["spec"].get("rayClusterConfig")
    if cluster is not None:
        found["spec"]["serveConfigV2"] = yaml.safe_load(found["spec"]["serveConfigV2"])
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            group["template"].pop("metadata", None)
            (container,) = group["template"]["spec"]["containers"]
            container.pop("imagePullPolicy", None)
            if container["name"] == "ray-worker":
                container.pop("ports", None)
    return found


def test_the_linter_finds_nothing_to_mend():
    found = helm.lint(os.fspath(CHART))

    assert found["errors"] == []
    assert [each["error"] for each in found["messages"] if each["severity"] > 1] == []


def test_by_default_it_is_the_manifest_of_kuberay():
    manifest = {(each["kind"], each["metadata"]["name"]): bare(each) for each in _manifest()}
    chart = {(each["kind"], each["metadata"]["name"]): bare(each) for each in render()}

    assert chart.keys() - manifest.keys() == {
        ("NetworkPolicy", "recommender"),
        ("NetworkPolicy", "recommender-redis"),
        ("PodDisruptionBudget", "recommender"),
    }
    assert {name: chart[name] for name in manifest} == manifest


def _manifest() -> list[dict]:
    return list(yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text()))


def test_serve_and_the_application_take_its_configuration():
    values = {
        "service": {"args": {"training": {"full_every_s": 3600}, "model": {"no_components": 32}}},
        "deployments": {"Predictor": {"num_replicas": 4, "max_replicas_per_node": 2}},
    }
    config = serve_config(values)
    ServeDeploySchema.model_validate(config)
    (application,) = config["applications"]
    args = AppArgs.model_validate(application["args"])
    predictor = next(each for each in application["deployments"] if each["name"] == "Predictor")

    assert (args.training.full_every_s, args.model.no_components) == (3600, 32)
    assert (predictor["num_replicas"], predictor["max_replicas_per_node"]) == (4, 2)
    assert predictor["max_ongoing_requests"] == 16


def test_a_redis_and_a_bucket_of_ones_own_take_the_place_of_what_the_chart_makes():
    values = {
        "store": {"create": False, "host": "redis.example", "port": 6380, "tls": True},
        "state": {"url": "s3://bucket/models"},
    }
    kinds = {each["kind"] for each in render(values)}
    cluster = one("RayService", values)["spec"]["rayClusterConfig"]
    (head,) = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in head["env"]}

    assert kinds == {"RayService", "PodDisruptionBudget", "NetworkPolicy"}
    assert cluster["gcsFaultToleranceOptions"]["redisAddress"] == "rediss://redis.example:6380"
    assert environment["RECOMMENDER_REDIS_URL"] == "rediss://:$(STORE_PASSWORD)@redis.example:6380/0"
    assert environment["RECOMMENDER_STATE_DIR"] == "s3://bucket/models"
    assert "/state" not in [each["mountPath"] for each in head["volumeMounts"]]
    assert serve_config(values)["applications"][0]["args"]["state_dir"] == "s3://bucket/models"


def test_two_releases_of_a_namespace_share_no_name():
    first, second = (
        {(each["kind"], each["metadata"]["name"]) for each in render({"secret": {"create": True, **SECRET}}, name)}
        for name in ("films", "books")
    )

    assert first & second == {("Secret", "recommender")}


SECRET = {"keys": "read:abcdefghijklmnop", "redisPassword": "s3cret"}


def test_a_secret_is_made_only_when_that_is_said_and_whole():
    made = one("Secret", {"secret": {"create": True, **SECRET}})

    assert made["stringData"] == {"keys": SECRET["keys"], "redis-password": SECRET["redisPassword"]}
    with pytest.raises(helm.HelmError, match=r"secret\.keys"):
        render({"secret": {"create": True}})
    with pytest.raises(helm.HelmError, match=r"store\.host"):
        render({"store": {"create": False}})


def test_the_store_is_reached_by_pods_of_ray_alone_and_the_service_at_its_port():
    values = {"networkPolicy": {"clients": [{"podSelector": {"matchLabels": {"app": "shop"}}}]}}
    own, store = (one("NetworkPolicy", values, name) for name in ("recommender", "recommender-redis"))
    labels = own["spec"]["podSelector"]["matchLabels"]
    head = one("RayService", values)["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]
    (to_store,) = store["spec"]["ingress"]
    ports_of_shop = [
        [port["port"] for port in rule["ports"]]
        for rule in own["spec"]["ingress"]
        if {"podSelector": {"matchLabels": {"app": "shop"}}} in rule["from"]
    ]

    assert labels.items() <= head["metadata"]["labels"].items()
    assert to_store["from"][0] == {"podSelector": {"matchLabels": labels}}
    assert ports_of_shop == [[8000]]


def test_a_drain_takes_one_pod_of_ray_at_a_time():
    budget = one("PodDisruptionBudget")
    groups = one("RayService")["spec"]["rayClusterConfig"]
    templates = [groups["headGroupSpec"]["template"], groups["workerGroupSpecs"][0]["template"]]

    assert budget["spec"]["maxUnavailable"] == 1
    for template in templates:
        assert budget["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


def test_metrics_are_found_where_ray_shows_them():
    values = {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}
    of_head, of_workers = one("ServiceMonitor", values), one("PodMonitor", values)
    worker = one("RayService", values)["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]
    (container,) = worker["spec"]["containers"]

    assert {"name": "metrics", "containerPort": 8080} in container["ports"]
    assert of_head["spec"]["endpoints"][0]["port"] == of_workers["spec"]["podMetricsEndpoints"][0]["port"] == "metrics"
    assert of_head["metadata"]["labels"]["release"] == "prometheus"
    assert not [each for each in render() if "Monitor" in each["kind"]]


def test_probes_resources_and_places_of_pods_are_values():
    values = {
        "probes": {"readiness": {"httpGet": {"path": "/readyz", "port": 8000}}},
        "worker": {"resources": {"limits": {"memory": "8Gi"}}, "nodeSelector": {"disk": "ssd"}, "maxReplicas": 9},
        "environment": [{"name": "OMP_NUM_THREADS", "value": "2"}],
        "imagePullSecrets": [{"name": "registry"}],
    }
    (worker,) = one("RayService", values)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    spec = worker["template"]["spec"]
    (container,) = spec["containers"]

    assert worker["maxReplicas"] == 9
    assert spec["nodeSelector"] == {"disk": "ssd"}
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert container["readinessProbe"] == {"httpGet": {"path": "/readyz", "port": 8000}}
    assert container["resources"]["limits"] == {"memory": "8Gi"}
    assert container["env"][-1] == {"name": "OMP_NUM_THREADS", "value": "2"}


@pytest.mark.parametrize(
    "values", [{"imagee": {}}, {"worker": {"replica": 2}}, {"state": {"url": "gs://x"}}, {"store": {"port": "a"}}]
)
def test_values_that_nobody_knows_are_refused(values):
    with pytest.raises(helm.HelmError):
        render(values)
