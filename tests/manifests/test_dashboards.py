"""Dashboard and alerts name only what the service tells."""

import json
import re
from pathlib import Path

import pytest
import yaml

from deployments.telemetry.metrics import ALL

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
EXPRESSIONS = {
    **{panel["title"]: [target["expr"] for target in panel["targets"]] for panel in DASHBOARD["panels"]},
    **{rule["alert"]: [rule["expr"]] for rule in RULES},
}
SUFFIXES = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
LABELS = {
    f"ray_{metric.name}{suffix}": {*metric.labels, *(["le"] if suffix == "_bucket" else [])}
    for metric in ALL
    for suffix in SUFFIXES[metric.kind]
}


@pytest.mark.parametrize("title", EXPRESSIONS)
def test_every_number_that_is_looked_at_exists_with_its_labels(title):
    for expression in EXPRESSIONS[title]:
        named = re.findall(r"\w*recommender_\w+", expression)
        grouped = {label for found in re.findall(r"by \(([^)]*)\)", expression) for label in re.split(r",\s*", found)}
        matched = set(re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", expression))

        assert named
        assert set(named) <= LABELS.keys()
        assert grouped | matched <= set.union(*(LABELS[name] for name in named))


def test_every_number_is_on_the_dashboard():
    shown = " ".join(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])

    assert [metric.name for metric in ALL if metric.name not in shown] == []


def test_every_alert_says_what_happens_and_what_to_do():
    assert RULES
    for rule in RULES:
        assert rule["annotations"].keys() == {"summary", "action"}
        assert rule["labels"]["severity"] in ("page", "ticket")
