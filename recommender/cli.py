"""The command line: ``recommender --help``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import httpx
import msgspec

from recommender.catalogue import Catalogue
from recommender.dataset import Dataset, feature_records
from recommender.doctor import doctor
from recommender.errors import RecommenderError, TrainingError
from recommender.model_state import model_to_arrays, model_to_meta
from recommender.queries import Query, Recommendations, UserState
from recommender.recommending import Recommender
from recommender.registry import Artifact, Registry
from recommender.snapshot import Snapshot
from recommender.snapshot_builder import CatalogueEntry
from recommender.sources import movielens, open_dataset
from recommender.training import ModelSettings, TrainingData, judge, train_full

DEFAULT_URL = "http://127.0.0.1:8000"

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
url_option = click.option("--url", default=DEFAULT_URL, show_default=True, help="Of the running service.")


class Commands(click.Group):
    """Commands that end with status 1 and one line on what failed, without a stack trace."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (RecommenderError, OSError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lightfm-serve")
def main() -> None:
    """Train, evaluate and ask recommenders; look after a running service."""


main.add_command(doctor)


@main.group()
def data() -> None:
    """Data sets."""


@data.command()
@click.argument("name", type=click.Choice(["movielens-100k"]))
@as_json
def fetch(name: str, as_json: bool) -> None:
    """Fetch a data set into the cache."""
    folder = movielens.fetch()
    _say({"dataset": name, "folder": str(folder)}, f"{name} is in {folder}", as_json)


@main.command()
@click.argument("dataset")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of model versions.")
@click.option("--epochs", type=click.IntRange(min=1), default=ModelSettings.epochs, show_default=True)
@click.option("--no-components", type=click.IntRange(min=1), default=ModelSettings.no_components, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--seed", type=int, default=ModelSettings.seed, show_default=True)
@as_json
def train(dataset: str, out: Path, epochs: int, no_components: int, threads: int, seed: int, as_json: bool) -> None:
    """Train on DATASET and publish the version into a folder.

    DATASET is movielens-100k, synthetic, or a folder with interactions, users and items.
    """
    settings = ModelSettings(no_components=no_components, epochs=epochs, num_threads=threads, seed=seed)
    content = open_dataset(dataset)
    trained = train_full(
        _training_data(content), settings, meta={"log_offset": 0, "items_sequence": 0}, progress=_progress
    )
    snapshot = trained.snapshot
    if snapshot is None:
        raise TrainingError(str(trained.verdict.reason))
    registry = Registry(out)
    meta = {
        "log_offset": 0,
        "segments": [],
        "mode": "full",
        "trained_on": snapshot.meta["trained_on"],
        "metrics": dict(trained.metrics),
        "snapshot": snapshot.to_meta(),
        "model": model_to_meta(trained.model),
    }
    parts = {"snapshot": snapshot.to_arrays(), "train_state": model_to_arrays(trained.model)}
    version = registry.publish(Artifact(parts, meta), parent=None, status="ready")
    registry.activate(version, pinned=False)
    shown = {
        "version": version,
        "folder": str(out),
        "trained_on": meta["trained_on"],
        "metrics": meta["metrics"],
    }
    _say(shown, f"version {version} in {out}\n{_table(trained.metrics)}", as_json)


@main.command()
@click.argument("dataset")
@click.option("--holdout", type=click.FloatRange(0, 0.9, min_open=True), default=0.1, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--seed", type=int, default=ModelSettings.seed, show_default=True)
@as_json
def evaluate(dataset: str, holdout: float, threads: int, seed: int, as_json: bool) -> None:
    """Judge the default model on the newest interactions of DATASET."""
    content = open_dataset(dataset)
    _progress("evaluating on held-out interactions")
    metrics = judge(_training_data(content), ModelSettings(num_threads=threads, seed=seed), holdout)
    _say({"dataset": dataset, "holdout": holdout, "metrics": dict(metrics)}, _table(metrics), as_json)


@main.command()
@click.argument("user")
@click.option("--model", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("-k", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option("--features", default=None, help='JSON, as in {"age": 24, "gender": "M"}.')
@click.option("--explain", is_flag=True, help="Show what each score is made of.")
@as_json
def recommend(user: str, model: Path, k: int, features: str | None, explain: bool, as_json: bool) -> None:
    """Recommend items to USER from a folder that `train` wrote.

    The folder holds what was learned of USER, not their features: give those with --features.
    """
    loaded = Registry(model).load_current()
    if loaded is None:
        raise click.ClickException(
            f"there is no model in {model}; write one with: recommender train DATASET --out {model}"
        )
    version, artifact = loaded
    snapshot = Snapshot.from_arrays(artifact.parts["snapshot"], {**artifact.meta["snapshot"], "version": version})
    query = Query(user_id=user, k=k, features=_features(features), explain=explain)
    answer = Recommender(Catalogue(snapshot)).recommend(query, UserState())
    _say(json.loads(msgspec.json.encode(answer)), _listed(answer), as_json)


@main.command()
@url_option
@as_json
def models(url: str, as_json: bool) -> None:
    """List the versions of a running service, newest first."""
    listed = _get(url, "/v1/models")["models"]
    lines = [
        f"{each['version']}  {each['status']:<8}  {each['created_at']}  {_ndcg(each['metrics'])}" for each in listed
    ]
    _say(listed, "\n".join(lines) or "no versions yet", as_json)


@main.command()
@url_option
@as_json
def status(url: str, as_json: bool) -> None:
    """Show how a running service does."""
    state = _get(url, "/v1/status")
    lines = [f"{name.replace('_', ' ')}: {_compact(value)}" for name, value in state.items()]
    _say(state, "\n".join(lines), as_json)


def _get(url: str, path: str) -> Any:
    key = os.environ.get("RECOMMENDER_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.get(url.rstrip("/") + path, headers=headers, timeout=10)
    except httpx.HTTPError as error:
        raise click.ClickException(f"{url} does not answer ({error}); start it with: make serve") from None
    if answer.is_error:
        raise click.ClickException(f"{url} answered {answer.status_code}: {answer.text[:500]}")
    return answer.json()


def _training_data(dataset: Dataset) -> TrainingData:
    titles = dataset.items["title"].to_dict() if "title" in dataset.items else {}
    catalogue = [
        CatalogueEntry(item_id, features, title if isinstance(title := titles.get(item_id), str) else None)
        for item_id, features in feature_records(dataset.items)
    ]
    return TrainingData(dataset.interactions, dict(feature_records(dataset.users)), catalogue)


def _features(given: str | None) -> dict[str, Any] | None:
    if given is None:
        return None
    try:
        return msgspec.json.decode(given, type=dict[str, str | bool | int | float | list[str]])
    except msgspec.MsgspecError as error:
        raise click.BadParameter(str(error), param_hint="--features") from error


def _progress(doing: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"{doing} …", err=True)


def _say(content: object, text: str, as_json: bool) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=False) if as_json else text)


def _table(metrics: Mapping[str, float]) -> str:
    return "\n".join(f"{name:<14}{value:.4f}" for name, value in metrics.items())


def _ndcg(metrics: Mapping[str, float]) -> str:
    return f"ndcg@10 {metrics['ndcg@10']:.4f}" if "ndcg@10" in metrics else "not judged"


def _compact(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _listed(answer: Recommendations) -> str:
    lines = [f"user {answer.user_id}: {answer.strategy}, case {answer.case}, model {answer.model_version}"]
    for place, item in enumerate(answer.items, 1):
        title = item.title if isinstance(item.title, str) else ""
        lines.append(f"{place:>4}  {item.score:>10.4f}  {item.case:<5} {item.item_id:<8} {title}")
        parts: Sequence[Any] = item.explanation if isinstance(item.explanation, list) else []
        lines.extend(f"      {part.contribution:>10.4f}  {part.feature}" for part in parts)
    return "\n".join(lines)
