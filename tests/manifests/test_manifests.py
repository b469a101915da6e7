"""Images and manifests: none is run here, so all that can be read of them is checked against what would read it."""

import copy
import fnmatch
import itertools
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.serve.schema import ServeDeploySchema

from deployments.args import AppArgs
from deployments.ray_runtime.environment import HAPROXY, SETTINGS

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DEPLOY = ROOT / "deploy"
SERVE_CONFIG = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
CLUSTER = yaml.safe_load((DEPLOY / "cluster.yaml").read_text())
KUBERNETES = list(yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text()))
RAY_SERVICE = KUBERNETES[0]
RAY_CLUSTER = RAY_SERVICE["spec"]["rayClusterConfig"]
GROUPS = [RAY_CLUSTER["headGroupSpec"], *RAY_CLUSTER["workerGroupSpecs"]]
(HEAD,) = RAY_CLUSTER["headGroupSpec"]["template"]["spec"]["containers"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = [each.removesuffix("*") for each in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]]

RAY_SERVICE_FIELDS = {
    "serveConfigV2",
    "rayClusterConfig",
    "serveService",
    "upgradeStrategy",
    "excludeHeadPodFromServeSvc",
    "rayClusterDeletionDelaySeconds",
}
RAY_CLUSTER_FIELDS = {
    "rayVersion",
    "authOptions",
    "autoscalerOptions",
    "enableInTreeAutoscaling",
    "gcsFaultToleranceOptions",
    "headGroupSpec",
    "headServiceAnnotations",
    "managedBy",
    "suspend",
    "workerGroupSpecs",
}
GROUP_FIELDS = {"template", "rayStartParams", "headService", "enableIngress", "serviceType", "resources", "labels"}
WORKER_FIELDS = GROUP_FIELDS | {
    "groupName",
    "replicas",
    "minReplicas",
    "maxReplicas",
    "idleTimeoutSeconds",
    "numOfHosts",
}
"""Of the custom resource RayService, as KubeRay 1.5 to 1.7 have it."""


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile: each word and what follows it."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in whole.splitlines())]


def told(word: str) -> list[str]:
    return [rest for each, rest in instructions() if each == word]


def test_the_image_is_of_two_stages_and_does_not_run_as_root():
    first, second = told("FROM")

    assert first == "python:3.11-slim AS build"
    assert second == "python:3.11-slim"
    assert told("USER") == ["1000:1000"]
    assert [word for word, _ in instructions()].index("USER") < [word for word, _ in instructions()].index("CMD")
    assert told("ADD") == []


def test_the_image_leaves_no_lists_of_packages_and_no_cache_behind():
    runs = told("RUN")

    assert [run for run in runs if "apt-get update" in run and "rm -rf /var/lib/apt/lists/*" not in run] == []
    assert [run for run in runs if "apt-get install" in run and "--no-install-recommends" not in run] == []
    assert [run for run in runs if "pip install" in run and "--no-cache-dir" not in run] == []
    assert "constraints.txt" in " ".join(runs)


def test_the_image_has_nothing_of_the_empty_packages_that_dependencies_are_installed_with():
    (first,) = (run for run in told("RUN") if "touch" in run)

    made = re.search(r"mkdir ([^&]+) &&", first)[1].split()
    assert made == PACKAGES
    assert first.endswith(f"&& rm -rf {' '.join(PACKAGES)} build *.egg-info")


def test_the_image_has_every_package_and_what_the_readme_offers_beside_them():
    copied = [name for rest in told("COPY") if "--from" not in rest for name in rest.split()[:-1]]
    extras = re.search(r"'\.\[(.+)\]'", " ".join(told("RUN")))[1].split(",")

    assert set(PACKAGES) <= set(copied)
    assert {"batch", "s3"} <= set(extras)


def test_what_the_image_copies_is_there_and_not_ignored():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for rest in told("COPY") if "--from" not in rest for name in rest.split()[:-1]}

    assert all((ROOT / name).exists() for name in copied)
    assert {name.partition("/")[0] for name in copied} == kept


def test_what_is_installed_has_every_file_of_the_packages():
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    files = [
        path.relative_to(ROOT / package)
        for package in included
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    ]

    assert files
    patterns = [pattern for each in included.values() for pattern in each]
    assert [path for path in files if not any(fnmatch.fnmatch(str(path), pattern) for pattern in patterns)] == []


def test_the_image_serves_the_configuration_of_the_repository_to_more_than_this_machine():
    (edit,) = (run for run in told("RUN") if run.startswith("sed"))
    program, _ = shlex.split(edit)[2:]
    original = (ROOT / "serve_config.yaml").read_text()
    edited = subprocess.run(
        ["/usr/bin/sed", program], input=original, capture_output=True, text=True, check=True
    ).stdout

    expected = copy.deepcopy(SERVE_CONFIG)
    expected["http_options"]["host"] = "0.0.0.0"  # noqa: S104 (that is what a container publishes)
    assert yaml.safe_load(edited) == expected
    assert json.loads(told("CMD")[0]) == ["recommender", "serve", "serve_config.yaml"]


def test_the_image_says_whether_a_model_serves():
    (check,) = told("HEALTHCHECK")

    options, _, command = check.partition("CMD ")
    assert "--start-period" in options
    code = json.loads(command)[2]
    assert "/readyz" in code
    compile(code, "HEALTHCHECK", "exec")


def environment_of_the_image() -> dict[str, str]:
    return dict(word.split("=", 1) for rest in told("ENV") for word in shlex.split(rest))


def environment_of_the_cluster() -> dict[str, str]:
    options = [
        option.removeprefix("--env=") for option in CLUSTER["docker"]["run_options"] if option.startswith("--env=")
    ]
    return dict(option.split("=", 1) for option in options)


def environment_of_a_pod(group: dict) -> dict[str, str]:
    (container,) = group["template"]["spec"]["containers"]
    return {each["name"]: each.get("value", "") for each in container["env"]}


def test_the_image_has_the_environment_that_recommender_serve_sets():
    ours = {name: value for name, value in environment_of_the_image().items() if name.startswith(("RAY_", "OMP_"))}

    assert ours == {**SETTINGS, HAPROXY: "/usr/local/bin/recommender-haproxy"}
    assert Path(ours[HAPROXY]).name in PROJECT["project"]["scripts"]
    assert "COPY --from=build /installed /usr/local" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize(
    "environment",
    [
        COMPOSE["services"]["recommender"]["environment"],
        environment_of_the_cluster(),
        *map(environment_of_a_pod, GROUPS),
    ],
    ids=["compose.yaml", "cluster.yaml", "kuberay.yaml head", "kuberay.yaml worker"],
)
def test_nothing_that_runs_the_image_repeats_what_the_image_has(environment):
    assert environment.keys().isdisjoint({*SETTINGS, HAPROXY})
    assert environment["RECOMMENDER_STATE_DIR"] == "/state"


def test_compose_keeps_to_its_schema():
    checked = subprocess.run(
        [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_compose_mounts_what_is_there_and_publishes_to_this_machine_only():
    services = COMPOSE["services"]
    mounts = [mount.split(":") for service in services.values() for mount in service.get("volumes", [])]

    assert {name for name, *_ in mounts if not name.startswith(".")} == COMPOSE["volumes"].keys()
    assert [name for name, *_ in mounts if name.startswith(".") and not (ROOT / name).exists()] == []
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_compose_shows_our_dashboard_of_what_ray_exports():
    scraped = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "recommender.yaml").read_text())["providers"]
    mounted = {
        name: dict(reversed(mount.removesuffix(":ro").split(":")) for mount in service.get("volumes", []))
        for name, service in COMPOSE["services"].items()
    }

    (discovered,) = (each for job in scraped["scrape_configs"] for each in job["file_sd_configs"][0]["files"])
    assert discovered.startswith("/tmp/ray/")  # noqa: S108 (where Ray keeps it)
    assert mounted["prometheus"]["/tmp/ray"] == mounted["recommender"]["/tmp/ray"] == "ray"  # noqa: S108
    assert set(scraped["rule_files"]) <= mounted["prometheus"].keys()
    assert source["url"] == "http://prometheus:9090"
    assert f"{provider['options']['path']}/dashboard.json" in mounted["grafana"]


@pytest.mark.parametrize(
    "command",
    [
        COMPOSE["services"]["redis"]["command"],
        KUBERNETES[3]["spec"]["template"]["spec"]["containers"][0]["args"][0].split(),
    ],
    ids=["compose.yaml", "kuberay.yaml"],
)
def test_every_redis_keeps_what_it_acknowledged(command):
    options = dict(itertools.pairwise(command))

    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"


def test_kubernetes_serves_the_configuration_of_the_repository_but_for_what_a_cluster_needs():
    expected = copy.deepcopy(SERVE_CONFIG)
    expected["proxy_location"] = "EveryNode"
    expected["http_options"]["host"] = "0.0.0.0"  # noqa: S104 (a pod's own)
    (application,) = expected["applications"]
    application["args"] |= {"dataset": "none", "state_dir": "/state"}
    for deployment in application["deployments"]:
        if deployment["num_replicas"] > 1:
            deployment["max_replicas_per_node"] = 1
    served = yaml.safe_load(RAY_SERVICE["spec"]["serveConfigV2"])

    assert served == expected
    ServeDeploySchema.model_validate(served)
    AppArgs(**served["applications"][0]["args"])


def test_the_custom_resource_has_the_fields_that_kuberay_knows():
    assert (RAY_SERVICE["apiVersion"], RAY_SERVICE["kind"]) == ("ray.io/v1", "RayService")
    assert RAY_SERVICE["spec"].keys() <= RAY_SERVICE_FIELDS
    assert RAY_CLUSTER.keys() <= RAY_CLUSTER_FIELDS
    assert RAY_CLUSTER["headGroupSpec"].keys() <= GROUP_FIELDS
    assert all(group.keys() <= WORKER_FIELDS for group in RAY_CLUSTER["workerGroupSpecs"])
    assert all(isinstance(value, str) for group in GROUPS for value in group["rayStartParams"].values())
    assert RAY_CLUSTER["authOptions"] == {"mode": "token"}
    assert RAY_CLUSTER["gcsFaultToleranceOptions"].keys() == {"redisAddress", "redisPassword"}
    assert f"ray=={RAY_CLUSTER['rayVersion']}" in (ROOT / "constraints.txt").read_text().splitlines()


def test_pods_mount_what_they_ask_for_and_do_not_run_as_root():
    claims = {each["metadata"]["name"] for each in KUBERNETES if each["kind"] == "PersistentVolumeClaim"}
    (state,) = (each for each in KUBERNETES if each["kind"] == "PersistentVolumeClaim")
    pods = [group["template"]["spec"] for group in GROUPS] + [KUBERNETES[3]["spec"]["template"]["spec"]]

    assert state["spec"]["accessModes"] == ["ReadWriteMany"]
    for pod in pods:
        (container,) = pod["containers"]
        volumes = {volume["name"] for volume in pod.get("volumes", [])} or {"data"}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["resources"]["limits"]["memory"]
    claimed = [
        v["persistentVolumeClaim"]["claimName"] for pod in pods for v in pod.get("volumes", []) if v["name"] == "state"
    ]
    assert set(claimed) == claims
    mounted = {mount["name"]: mount["mountPath"] for mount in HEAD["volumeMounts"]}
    named = {each["name"]: each.get("value") for each in HEAD["env"]}
    assert named["RECOMMENDER_API_KEYS_FILE"].startswith(mounted["keys"] + "/")
    assert named["RECOMMENDER_STATE_DIR"] == mounted["state"]


def test_every_pod_and_machine_runs_the_image_that_is_built_here():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = [group["template"]["spec"]["containers"][0]["image"] for group in GROUPS]

    assert {*images, COMPOSE["services"]["recommender"]["image"], CLUSTER["docker"]["image"]} == {
        f"lightfm-serve:{version}"
    }


def test_the_cluster_launcher_accepts_its_file():
    prepared = prepare_config(copy.deepcopy(CLUSTER))

    validate_config(prepared)
    assert prepared["max_workers"] == len(CLUSTER["provider"]["worker_ips"])


def test_the_cluster_launcher_leaves_redis_its_port_and_asks_for_a_token():
    (start,) = CLUSTER["head_start_ray_commands"]
    (join,) = CLUSTER["worker_start_ray_commands"]

    (port,) = re.findall(r"--port=(\d+)", start)
    assert port != "6379"
    assert join.endswith(f":{port}")
    assert environment_of_the_cluster()["RAY_AUTH_MODE"] == "token"
