"""Length of dense vectors in requests: refused where the store has another for that name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from recommender.errors import StoreError
from recommender.stores.feature_kinds import check_kind, kinds_of
from recommender.stores.protocols import FeatureStore, Side


async def check_vectors(store: FeatureStore, of: Side, records: Iterable[Mapping[str, Any] | None]) -> None:
    """Refuse dense vectors in the features of a request that have another length than those that are stored.

    A request without any asks the store nothing; while it does not answer, nothing is refused.

    Raises
    ------
    InvalidRequestError
        One has; the message names both.
    """
    kinds = {name: kind for name, kind in kinds_of(records).items() if kind}
    if not kinds:
        return
    with suppress(StoreError):
        known = await store.feature_kinds(of, list(kinds))
        for name, kind in kinds.items():
            check_kind(name, kind, known.get(name))
