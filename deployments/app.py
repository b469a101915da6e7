"""Composition root: builds the Serve graph from the arguments."""

# no `from __future__ import annotations` here: Serve looks at the annotation of `args` to parse it

import logging
from pathlib import Path

from ray import serve

from deployments.args import AppArgs
from deployments.embedded_store import EMBEDDED, check_embedded, embedded_store_url
from deployments.feature_fetcher import FeatureFetcher
from deployments.ingress import Ingress
from deployments.model_store import RegistryPlace, model_store
from deployments.predictor import Predictor
from deployments.ray_runtime import environment
from deployments.stages.near import NearSettings
from deployments.telemetry import logs
from deployments.trainer import Trainer
from recommender.storage.object_store import Bucket, is_url, within
from recommender.storage.registry.signing import public_key_texts

logger = logging.getLogger("recommender.app")


def build(args: AppArgs) -> serve.Application:
    """Graph of the service: Ingress, FeatureFetcher, Predictor and Trainer."""
    logs.configure()
    args = args.with_environment()
    # files of this machine are read here: others may not have them
    args = args.model_copy(update={"state_dir": _made(args.state_dir), "require_signed": _key_texts(args)})
    _log_missing_environment()
    check_embedded(args.redis_url, args.state_dir)
    models = RegistryPlace(str(within(args.state_dir, "models")), args.require_signed)
    models.open(args.signing_key())  # keys that are none fail here, not in a replica
    model_store(models)  # starts beside the store, not after it
    store_url = args.redis_url
    if store_url == EMBEDDED:
        store_url = embedded_store_url(Path(args.state_dir) / "store", args.store)
    # Serve's decorator is untyped
    predictor = Predictor.bind(  # type: ignore[attr-defined]
        models, store_url, args.explore, args.training.feedback(), args.catalogue_wait_s
    )
    trainer = Trainer.bind(args, store_url)  # type: ignore[attr-defined]
    fetcher = FeatureFetcher.bind(store_url)  # type: ignore[attr-defined]
    near = NearSettings(args.near, args.explore, args.training.feedback(), args.catalogue_wait_s)
    return Ingress.bind(  # type: ignore[attr-defined]
        fetcher, predictor, trainer, models, store_url, args.max_backlog, near, args.exposures.sample
    )


def _key_texts(args: AppArgs) -> tuple[str, ...]:
    return tuple(public_key_texts(args.require_signed))


def _made(state_dir: str) -> str:
    """Where the state is: a URL as it was given, or an absolute path of a folder that exists."""
    if is_url(state_dir):
        return Bucket(state_dir).url  # fails here, with a clear message, where its library is not installed
    folder = Path(state_dir).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _log_missing_environment() -> None:
    missing = environment.missing()
    if missing:
        told = " ".join(f"{name}={value}" for name, value in missing.items())
        logger.warning("serving works, but slower than with `recommender serve`, which sets %s", told)
