"""Model freshness: age and quality of the serving version, as gauges."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime
from typing import Any

from deployments.telemetry import metrics
from recommender.stores.protocols import Store, StoreHealth

EVERY_S = 5.0
AGAIN_S = 0.5
"""Ray forgets a gauge that it was not told of within two of its reports, which are a second apart."""

logger = logging.getLogger("recommender.trainer")


async def tell_freshness(models: Any, store: Store) -> None:
    """Tell for ever; Ray drops the numbers while a part does not answer.

    Parameters
    ----------
    models
        The ModelStore.
    store
        Where interactions wait.
    """
    while True:
        try:
            active = await models.active.remote()
            if active is not None:
                _tell_model(active)
                waiting = (await store.state()).last_offset - active["log_offset"]
                metrics.show(metrics.INTERACTIONS_WAITING, max(0, waiting))
            _tell_store(await store.ping())
        except Exception as error:  # noqa: BLE001 (numbers are told again; nothing may end this)
            logger.warning("cannot tell how fresh the model is: %s", error)
            await asyncio.sleep(EVERY_S)
            continue
        for _ in range(round(EVERY_S / AGAIN_S)):
            await asyncio.sleep(AGAIN_S)
            metrics.show_again()


def _tell_model(active: dict[str, Any]) -> None:
    now = time.time()
    metrics.show(metrics.MODEL_AGE_SECONDS, now - datetime.fromisoformat(active["created_at"]).timestamp())
    if active["newest_timestamp"] is not None:
        metrics.show(metrics.SINCE_LEARNED_SECONDS, max(0.0, now - active["newest_timestamp"]))
    for name, value in active["metrics"].items():
        if isinstance(value, int | float):
            metrics.show(metrics.HELD_OUT, value, metric=name)
    if active.get("data"):
        _tell_data(active["data"])


def _tell_data(data: dict[str, Any]) -> None:
    metrics.show(metrics.DATA_CHANGES, len(data["changes"]))
    for of in ("users", "items"):
        metrics.show(metrics.DATA_MISSING, data[of]["without_features"], of=of)
    metrics.show(metrics.DATA_MISSING, data["without_timestamp"], of="interactions")
    if data["popularity_shift"] is not None:
        metrics.show(metrics.DATA_SHIFT, data["popularity_shift"])


def _tell_store(health: StoreHealth) -> None:
    for metric, value in (
        (metrics.STORE_USED_BYTES, health.used_bytes),
        (metrics.STORE_LIMIT_BYTES, health.limit_bytes),
        (metrics.LOG_LENGTH, health.log_length),
        (metrics.LOG_LIMIT, health.log_limit),
    ):
        if value is not None:
            metrics.show(metric, value)
