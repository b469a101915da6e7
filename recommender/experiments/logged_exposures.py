"""Logged exposures as decisions: drawn items with propensity and reward, and what a target would have drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lightfm_serve.records.values import clean_id
from recommender.errors import InvalidDataError
from recommender.experiments.off_policy import LoggedDecisions, fit_reward_model

KEYS = ("recommendation_id", "user_id", "position")
"""Columns of a target that say where its probabilities hold; without any of them they hold everywhere."""
IDS = ("item_id", "recommendation_id", "user_id")
ROUNDING = 1e-3
"""By which the probabilities of a draw may be more than 1, when they were written with few digits."""


def read_target(path: Path) -> pd.DataFrame:
    """Read a target: ``item_id``, ``probability``, and those of `KEYS` that tell where it holds; CSV or Parquet.

    Raises
    ------
    InvalidDataError
        A column is missing, a probability is none, an item is there twice, or the probabilities of all items together
        are more than 1.
    """
    frame = _read(path)
    missing = {"item_id", "probability"} - set(frame.columns)
    if missing:
        raise InvalidDataError(
            f"{path}: the column {sorted(missing)[0]!r} is missing; it has {', '.join(frame.columns)}"
        )
    frame["probability"] = pd.to_numeric(frame["probability"], errors="coerce")
    if not frame["probability"].between(0, 1).all():
        raise InvalidDataError(f"{path}: a probability is not between 0 and 1")
    _check_draws(path, frame)
    return frame


def _read(path: Path) -> pd.DataFrame:
    """Table with ids as text, whatever they look like: NA and 02100 are ids."""
    try:
        frame = (
            pd.read_csv(path, dtype=dict.fromkeys(IDS, str), keep_default_na=False) if path.suffix == ".csv" else None
        )
        frame = pd.read_parquet(path) if frame is None else frame
    except ValueError as error:
        raise InvalidDataError(f"{path} cannot be read as CSV or Parquet: {error}") from error
    for name in IDS:
        if name in frame:
            frame[name] = [each if isinstance(each, str) else _id(each, f"{path}: {name}") for each in frame[name]]
    return frame


def _id(value: Any, place: str) -> str:
    try:
        return clean_id(value)
    except ValueError as error:
        raise InvalidDataError(f"{place}: {str(error).replace('{}', repr(value))}") from None


def _check_draws(path: Path, frame: pd.DataFrame) -> None:
    """Refuse what is no probability of one draw."""
    keys = [name for name in KEYS if name in frame]
    twice = frame.loc[frame.duplicated([*keys, "item_id"]), "item_id"]
    if len(twice):
        raise InvalidDataError(f"{path}: item {twice.iloc[0]!r} is there twice for the same draw")
    draws = frame.groupby(keys)["probability"] if keys else frame["probability"]
    total = float(np.max(draws.sum())) if len(frame) else 0.0
    if total > 1 + ROUNDING:
        raise InvalidDataError(f"{path}: the probabilities of one draw come to {total:g}; they are at most 1 together")


def decisions_of(exposures: Iterable[Mapping[str, Any]], event: str) -> pd.DataFrame:
    """Drawn items of exposures: the keys, ``item_id``, ``propensity`` and ``reward``, 1 where it was taken.

    Parameters
    ----------
    exposures
        As ``GET /v1/exposures`` gives them.
    event
        What counts.
    """
    rows = [
        {
            "recommendation_id": exposure["recommendation_id"],
            "user_id": exposure["user_id"],
            "position": item["position"],
            "item_id": item["item_id"],
            "propensity": item["propensity"],
            "reward": float(bool((item.get("interactions") or {}).get(event))),
        }
        for exposure in exposures
        for item in exposure["items"]
        if item.get("propensity") is not None
    ]
    return pd.DataFrame(rows, columns=[*KEYS, "item_id", "propensity", "reward"])


def with_target(decisions: pd.DataFrame, target: pd.DataFrame) -> LoggedDecisions:
    """Join decisions with what a target would have done, and with a reward model by position and item.

    Raises
    ------
    InvalidDataError
        The target says nothing of any decision.
    """
    keys = [name for name in KEYS if name in target]
    joined = decisions.merge(target[[*keys, "item_id", "probability"]], "left", [*keys, "item_id"])
    targets = joined["probability"].fillna(0.0).to_numpy(np.float64)
    if len(decisions) and not targets.any():
        raise InvalidDataError("the target would have drawn none of the items that were drawn: are its ids the same?")
    modelled, expected = _modelled(decisions, target, keys)
    return LoggedDecisions(
        decisions["reward"].to_numpy(np.float64),
        decisions["propensity"].to_numpy(np.float64),
        targets,
        modelled,
        expected,
    )


def _modelled(decisions: pd.DataFrame, target: pd.DataFrame, keys: list[str]) -> tuple[Any, Any]:
    """What a reward model says of each decision, and of what the target would have drawn there."""
    if not len(decisions):
        return np.zeros(0), np.zeros(0)
    places, positions = pd.factorize(decisions["position"])
    actions, items = pd.factorize(decisions["item_id"])
    model = fit_reward_model(places, actions, decisions["reward"].to_numpy(np.float64))
    rewards = pd.DataFrame(model, pd.Index(positions, name="position"), pd.Index(items, name="item_id")).stack()
    known = rewards.rename("modelled").reset_index()
    numbered = decisions.assign(decision=np.arange(len(decisions)))[["decision", *KEYS]]
    would = numbered.merge(target, on=keys) if keys else numbered.merge(target, "cross")
    would = would.merge(known, "left", ["position", "item_id"]).fillna({"modelled": float(decisions["reward"].mean())})
    sums = (would["probability"] * would["modelled"]).groupby(would["decision"]).sum()
    return model[places, actions], sums.reindex(range(len(decisions)), fill_value=0.0).to_numpy(np.float64)
