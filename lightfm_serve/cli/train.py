"""Commands that fetch, train and recommend."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightfm_serve.cli.group import as_json, listing, say, tell
from lightfm_serve.cli.schema_options import schema_options, warn
from lightfm_serve.cli.trust import load_current, trust_of_environment
from recommender.errors import TrainingError

if TYPE_CHECKING:
    from recommender.datasets.schema import Schema
    from recommender.feature_space import FeatureSpace
    from recommender.schema import Recommendations
    from recommender.storage.registry import Registry, VersionMeta
    from recommender.storage.registry.manifest import Status
    from recommender.training.full import Trained

EPOCHS, MIN_STEPS, NO_COMPONENTS, SEED = 50, 5_000, 64, 42
"""Defaults of `ModelSettings`, which --help need not import; a test compares them."""


@click.group()
def data() -> None:
    """Data sets."""


@data.command()
@click.argument("name", type=click.Choice(["movielens-100k"]))
@as_json
def fetch(name: str, as_json: bool) -> None:
    """Fetch a data set into the cache."""
    from recommender.datasets import movielens

    folder = movielens.fetch()
    say({"dataset": name, "folder": str(folder)}, f"{name} is in {folder}", as_json)


@click.command()
@click.argument("dataset")
@click.option("--out", required=True, help="Folder of model versions, or an fsspec URL; STATE_DIR/models of a service.")
@click.option("--archive", default=None, help="Write the interactions there too; STATE_DIR/archive of a service.")
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=EPOCHS,
    show_default=True,
    help=f"Passes over the interactions; more where there are fewer than {MIN_STEPS} in all passes.",
)
@click.option("--no-components", type=click.IntRange(min=1), default=NO_COMPONENTS, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--seed", type=int, default=SEED, show_default=True)
@schema_options
@as_json
def train(
    dataset: str,
    out: str,
    archive: str | None,
    epochs: int,
    no_components: int,
    threads: int,
    seed: int,
    schema: Schema,
    as_json: bool,
) -> None:
    """Train on DATASET and publish the version into a folder.

    DATASET is movielens-100k, synthetic, or a folder with interactions, users and items. Where the folder is that of
    a service, the version goes on from where the newest one there has got to in the log, and the service's next full
    training learns from the archive: with --archive it has DATASET too.
    """
    import msgspec

    from recommender.datasets import open_dataset
    from recommender.storage.archive.archive import Archive
    from recommender.storage.registry import Registry
    from recommender.training.from_dataset import training_data
    from recommender.training.full import train_full
    from recommender.training.model_settings import ModelSettings
    from recommender.training.publishing import newest_timestamp

    settings = ModelSettings(no_components=no_components, epochs=epochs, num_threads=threads, seed=seed)
    content = open_dataset(dataset, schema)
    warn(content.notes)
    interactions = training_data(content)
    registry = Registry(out, trust_of_environment(with_key=True))
    about = _following(registry)
    meta = {"log_offset": about.log_offset, "items_sequence": 0}
    trained = train_full(interactions, settings, meta=meta, progress=tell)
    if archive:
        rows = interactions.interactions.assign(offset=0)
        added = Archive(archive).append(rows, first_offset=0, last_offset=0)
        about = msgspec.structs.replace(about, segments=(added, *about.segments))
    about = msgspec.structs.replace(
        about,
        trained_on=interactions.trained_on(),
        newest_timestamp=newest_timestamp(interactions.interactions),
    )
    version = _published(registry, trained, about)
    shown: dict[str, Any] = {
        "version": version,
        "folder": out,
        "trained_on": about.trained_on,
        "metrics": dict(trained.metrics),
    }
    shown["judged_on"] = None if trained.judged is None else msgspec.to_builtins(trained.judged)
    say(shown, f"version {version} in {out}\n{trained.judged}\n{listing(trained.metrics)}", as_json)


def _following(registry: Registry) -> VersionMeta:
    """Metadata of a version that comes behind what is there: place in the log, and what the archive holds."""
    from recommender.storage.registry import VersionMeta

    newest = next((each for each in registry.versions() if each.status != "rejected" and not each.refused), None)
    if newest is None:
        return VersionMeta(full_at=time.time())
    # of the service's catalogue it knows nothing, so it is told of all of it anew
    return VersionMeta(
        log_offset=newest.meta.log_offset,
        segments=newest.meta.segments,
        full_at=newest.meta.full_at,
        interactions_since_full=newest.meta.interactions_since_full,
    )


def _published(registry: Registry, trained: Trained, about: VersionMeta) -> str:
    """Publish as the gate says; what it rejected is kept to be inspected, and is an error."""
    from recommender.training.publishing import artifact_of

    verdict = trained.verdict
    status: Status = "ready" if verdict.accepted else "rejected"
    reason = None if verdict.accepted else verdict.reason
    version = registry.publish(artifact_of(trained, about), parent=None, status=status, reason=reason)
    if not verdict.accepted:
        raise TrainingError(f"version {version} was rejected: {verdict.reason}")
    registry.advance()
    return version


@click.command()
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
    import msgspec

    from recommender.schema import Query, UserState
    from recommender.serving.catalogue import Catalogue
    from recommender.serving.recommender import Recommender
    from recommender.serving.snapshot import Snapshot
    from recommender.storage.registry import Registry

    version, artifact = load_current(
        Registry(model, trust_of_environment()),
        f"there is no model in {model}; write one with: recommender train DATASET --out {model}",
    )
    snapshot = Snapshot.from_arrays(artifact.parts["snapshot"], {**artifact.meta.snapshot, "version": version})
    query = Query(user_id=user, k=k, features=_features(features), explain=explain)
    answer = Recommender(Catalogue(snapshot)).recommend(query, UserState())
    say(json.loads(msgspec.json.encode(answer)), _listed(answer, snapshot.user_space), as_json)


def _features(given: str | None) -> dict[str, Any] | None:
    import msgspec

    from lightfm_serve.records.vectors import clean_json_list

    if given is None:
        return None
    try:
        found = msgspec.json.decode(given, type=dict[str, str | bool | int | float | list[str | float]])
        return {name: clean_json_list(value) if isinstance(value, list) else value for name, value in found.items()}
    except (msgspec.MsgspecError, ValueError) as error:
        raise click.BadParameter(str(error).replace("{}", "it"), param_hint="--features") from error


def _listed(answer: Recommendations, space: FeatureSpace) -> str:
    lines = [f"user {answer.user_id}: {answer.strategy}, case {answer.case}, model {answer.model_version}"]
    lines += [f"ignored: {space.meant(each)}" for each in answer.ignored_features]
    for place, item in enumerate(answer.items, 1):
        title = item.title if isinstance(item.title, str) else ""
        lines.append(f"{place:>4}  {item.score:>10.4f}  {item.case:<5} {item.item_id:<8} {title}")
        parts: Sequence[Any] = item.explanation if isinstance(item.explanation, list) else []
        lines.extend(f"      {part.contribution:>10.4f}  {part.feature}" for part in parts)
    return "\n".join(lines)
