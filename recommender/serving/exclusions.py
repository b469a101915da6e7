"""Exclusions: what users know, and are not recommended, beyond what the model has learned of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recommender.ids import UNKNOWN, Arrays, IdTable, with_prefix, without_prefix


class Exclusions(NamedTuple):
    """Pairs of users and items of which the model lacks the user, the item, or both.

    Who only dislikes joins no model, nor does an item that nobody likes: nothing could be learned of them. What such
    a user has hidden, or seen, is still not recommended to them.
    """

    user_ids: IdTable
    item_ids: IdTable
    indptr: NDArray[np.int64]
    """Shape (n_users + 1,): where the items of each user begin."""
    items: NDArray[np.int32]
    """Shape (n_pairs,): indices in `item_ids`, each once for a user."""

    @classmethod
    def of_pairs(cls, pairs: pd.DataFrame) -> Exclusions:
        """Exclusions of the ``user_id`` and ``item_id`` of a table; a repeated pair counts once."""
        user_ids, users = IdTable.coded(pairs["user_id"])
        item_ids, items = IdTable.coded(pairs["item_id"])
        codes = np.unique(users.astype(np.int64) * max(1, len(item_ids)) + items)
        owners, members = np.divmod(codes, max(1, len(item_ids)))
        indptr = np.append(0, np.cumsum(np.bincount(owners, minlength=len(user_ids)))).astype(np.int64)
        return cls(user_ids, item_ids, indptr, members.astype(np.int32))

    def extended(self, pairs: pd.DataFrame, forgotten: Collection[str] = ()) -> Exclusions:
        """Exclusions without those of some users, and with further pairs."""
        if pairs.empty and not any(user_id in self.user_ids for user_id in forgotten):
            return self
        own = self.pairs()
        return Exclusions.of_pairs(
            pd.concat([own[~own["user_id"].isin(list(forgotten))], pairs[["user_id", "item_id"]]], ignore_index=True)
        )

    def pairs(self) -> pd.DataFrame:
        """``user_id`` and ``item_id`` of each pair."""
        owners = np.repeat(np.arange(len(self.user_ids)), np.diff(self.indptr))
        return pd.DataFrame(
            {
                "user_id": pd.Series(self.user_ids.ids_of(owners.tolist()), dtype=object),
                "item_id": pd.Series(self.item_ids.ids_of(self.items.tolist()), dtype=object),
            }
        )

    def of(self, user_id: str | None) -> Sequence[str]:
        """Items that are not recommended to a user, by id."""
        if user_id is None or not len(self.items):
            return ()
        row = self.user_ids.index_of(user_id)
        if row == UNKNOWN:
            return ()
        return self.item_ids.ids_of(self.items[self.indptr[row] : self.indptr[row + 1]].tolist())

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Arrays that `from_arrays` takes."""
        return {
            **with_prefix("user_ids", self.user_ids.to_arrays()),
            **with_prefix("item_ids", self.item_ids.to_arrays()),
            "indptr": self.indptr,
            "items": self.items,
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Exclusions:
        """Exclusions over the same memory as `arrays`; none where there are no arrays."""
        if not arrays:
            return NO_EXCLUSIONS
        user_ids, item_ids = (IdTable.from_arrays(without_prefix(name, arrays)) for name in ("user_ids", "item_ids"))
        return cls(user_ids, item_ids, arrays["indptr"].view(np.int64), arrays["items"].view(np.int32))


NO_EXCLUSIONS = Exclusions(IdTable.from_ids(), IdTable.from_ids(), np.zeros(1, np.int64), np.zeros(0, np.int32))
