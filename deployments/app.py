"""The composition root: arguments in, graph out."""

# no `from __future__ import annotations` here: Serve looks at the annotation of `args` to parse it

import logging
import os
from pathlib import Path

from ray import serve

from deployments import logs
from deployments.args import AppArgs
from deployments.feature_fetcher import FeatureFetcher
from deployments.ingress import Ingress
from deployments.model_store import model_store
from deployments.predictor import Predictor
from deployments.store_keeper import embedded_store_url
from deployments.trainer import Trainer

logger = logging.getLogger("recommender.app")

FASTER_WITH = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    "RAY_worker_niceness": "0",
    "OMP_NUM_THREADS": "1",
}
"""What `make serve` sets; measured, they divide the processor time of a request by five to fifteen."""


def build(args: AppArgs) -> serve.Application:
    """Graph of the service: Ingress, FeatureFetcher, Predictor and Trainer."""
    logs.configure()
    args = args.with_environment()
    state = Path(args.state_dir).resolve()
    state.mkdir(parents=True, exist_ok=True)
    args = args.model_copy(update={"state_dir": str(state)})
    _say_what_is_missing()
    models = str(state / "models")
    model_store(models)  # starts beside the store, not after it
    store_url = embedded_store_url(state / "store") if args.redis_url == "embedded" else args.redis_url
    # Serve's decorator is untyped
    predictor = Predictor.bind(models, store_url, args.explore, args.training.feedback())  # type: ignore[attr-defined]
    trainer = Trainer.bind(args, store_url)  # type: ignore[attr-defined]
    fetcher = FeatureFetcher.bind(store_url)  # type: ignore[attr-defined]
    return Ingress.bind(fetcher, predictor, trainer, models, store_url)  # type: ignore[attr-defined]


def _say_what_is_missing() -> None:
    missing = [f"{name}={value}" for name, value in FASTER_WITH.items() if os.environ.get(name) != value]
    if missing:
        logger.warning("serving works, but slower than with `make serve`, which sets %s", " ".join(missing))
