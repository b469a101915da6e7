"""LFMRecommender: LightFM with names, growth and predictions for whatever is known."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from lightfm import LightFM
from numpy.typing import NDArray
from scipy import sparse

from recommender import cases
from recommender.errors import (
    InvalidDataError,
    MissingFeaturesError,
    NotFittedError,
    TrainingError,
    UnknownUserError,
)
from recommender.ids import UNKNOWN, id_text, id_texts
from recommender.models.compiled_trainer import TABLES, CompiledTrainer
from recommender.models.early_stopping import EarlyStopping
from recommender.models.entities import Entities
from recommender.models.popularity import fit_popularity, predict_popularity
from recommender.models.prediction_notes import ignored_features, item_blocks, notes_of, user_row
from recommender.models.training_examples import aligned_weights, examples_of, stacked, with_values
from recommender.models.vector_regression import Side, regress_indicators, regressed_parts_in_indicators
from recommender.models.warm_start import take_over
from recommender.sparse_frame import SparseFrame

Indicators = Literal["users", "items", "both", False]

FitWith = Literal["compiled", "lightfm"]


class LFMRecommender(LightFM):
    """A hybrid recommender that remembers whom it was trained on.

    LightFM scores a user and an item by the embeddings of their features [1]_. An *indicator* is a
    feature that one known user or item has alone: it lets the model remember individuals, while their
    other features let it answer for those it has never seen.

    Parameters
    ----------
    indicators
        Which sides have indicators: ``"users"``, ``"items"``, ``"both"`` or False.
    fit_with
        Whose loop trains: ``"compiled"`` (`CompiledTrainer`) or ``"lightfm"`` (LightFM's own). Both train the same
        weights by the same rules, and either goes on where the other stopped.
    **lightfm
        As `lightfm.LightFM` takes them: ``no_components``, ``loss``, ``learning_rate``,
        ``random_state`` and so on. With an integer ``random_state`` and one thread, ``fit`` is
        reproducible to the bit.

    Attributes
    ----------
    users, items : Side
        Known ids, learned features and their columns.
    popularity : ndarray of float32, shape (n_items,)
        Sum of the weights of the interactions with each known item.

    References
    ----------
    .. [1] M. Kula, Metadata Embeddings for User and Item Cold-start Recommendations, 2015.
    """

    def __init__(self, indicators: Indicators = "both", fit_with: FitWith = "compiled", **lightfm: Any) -> None:
        if indicators not in ("users", "items", "both", False):
            raise InvalidDataError(f"indicators is {indicators!r}; it must be 'users', 'items', 'both' or False")
        if fit_with not in ("compiled", "lightfm"):
            raise InvalidDataError(f"fit_with is {fit_with!r}; it must be 'compiled' or 'lightfm'")
        self.indicators = indicators
        self.fit_with = fit_with
        self._trainer: CompiledTrainer | None = None
        self._stopping: EarlyStopping | None = None
        self._start: LFMRecommender | None = None
        self.users: Entities
        self.items: Entities
        seed = lightfm.get("random_state")
        self.seed = int(seed) if isinstance(seed, int | np.integer) else None
        super().__init__(**lightfm)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Arguments that would build an equal, untrained recommender."""
        parameters = {**super().get_params(deep), "indicators": self.indicators, "fit_with": self.fit_with}
        return parameters if self.seed is None else {**parameters, "random_state": self.seed}

    def fit(
        self,
        interactions: SparseFrame,
        user_features: SparseFrame | None = None,
        item_features: SparseFrame | None = None,
        sample_weight: SparseFrame | None = None,
        epochs: int = 1,
        num_threads: int = 1,
        verbose: bool = False,
        *,
        stopping: EarlyStopping | None = None,
        start: LFMRecommender | None = None,
    ) -> Self:
        """Forget everything, then `fit_partial`.

        With `stopping` for at most so many epochs, and the weights are those of the best of them. With `start`, what
        that model has learned of the same users, items and features is where training begins.
        """
        self._reset_state()
        if self.seed is not None:
            self.random_state = np.random.RandomState(self.seed)
        self._stopping, self._start = stopping, start
        try:
            how = (epochs, num_threads, verbose)
            self.fit_partial(interactions, user_features, item_features, sample_weight, *how)
        finally:
            self._stopping = self._start = None
        if stopping is not None:
            stopping.restore_best(self)
        return self

    def fit_partial(
        self,
        interactions: SparseFrame,
        user_features: SparseFrame | None = None,
        item_features: SparseFrame | None = None,
        sample_weight: SparseFrame | None = None,
        epochs: int = 1,
        num_threads: int = 1,
        verbose: bool = False,
        *,
        replay: SparseFrame | None = None,
    ) -> Self:
        """Learn from more interactions; new users, items and features join.

        Users and items without any interaction do not join: LightFM would draw such items as nothing
        but counter-examples, and they would never be recommended again. They are scored by their
        features, which have to be those of somebody who does join to be learned.

        Parameters
        ----------
        interactions
            Users by items; a stored value > 0 is an interaction. A value of 0 or less is none, but is
            never drawn as a counter-example either; with the logistic loss, one below 0 is a counter-example.
        user_features, item_features
            Rows by features. A row replaces what was said of that id before; ids without a row keep
            what they had.
        sample_weight
            Weight of each stored interaction, of the same shape, rows and columns. All 1 when absent.
        epochs
            Passes over the interactions; with 0, those who are new join and nothing is trained.
        num_threads
            With more than one, training is faster and not reproducible.
        verbose
            Show a progress bar.
        replay
            What was learned before: a value > 0 is trained again so that it is not forgotten, and what is
            stored at all is never drawn as a counter-example. Nobody joins by it, and popularity stays.

        Returns
        -------
        This recommender.

        Raises
        ------
        InvalidDataError
            `sample_weight` does not have the rows and columns of `interactions`.
        MissingFeaturesError
            A side has neither indicators nor features, or neither user nor item of an interaction has any.
        TrainingError
            Weights are not finite any more.
        """
        weights = aligned_weights(interactions, sample_weight)
        active = interactions.matrix.tocoo()
        self._grow(interactions, active, user_features, item_features)
        new, joined = self._placed(interactions)
        self.popularity += np.bincount(new.col, np.maximum(new.data, 0), new.shape[1]).astype(np.float32)
        weighted = None if weights is None else with_values(new, weights[joined])
        if replay is not None:
            old, _ = self._placed(replay)
            weighted = None if weighted is None else stacked(weighted, with_values(old, np.ones(old.nnz, np.float32)))
            new = stacked(new, old)
        new, weighted = examples_of(self.loss, new, weighted)
        self._check_rows(new)
        try:
            # weights that explode are an error of ours, below, not a warning of numpy's
            with np.errstate(invalid="ignore", over="ignore"):
                rows = self.users.training_rows(), self.items.training_rows()
                with regressed_parts_in_indicators(self):
                    super().fit_partial(new, *rows, weighted, epochs, num_threads, verbose)
        except ValueError as error:
            if all(
                np.isfinite(each).all() for each in (self.item_embeddings, self.user_embeddings) if each is not None
            ):
                raise
            raise TrainingError(f"{error}; learning_rate is {self.learning_rate}") from error
        finally:
            self._trainer = None
        self._popularity_weights = fit_popularity(self.items.features, self.popularity)
        return self

    def learn_vectors(
        self, what: Side, frame: SparseFrame, counts: NDArray[np.integer], penalty: float
    ) -> NDArray[np.float32]:
        """Learn what columns of dense vectors predict of a side's indicators; no representation of a known id changes.

        Parameters
        ----------
        what
            Side, which has indicators.
        frame
            Known ids by all of their columns; those that join are left alone by training from now on.
        counts, penalty
            As for `regress_indicators`.

        Returns
        -------
        What the weights of the columns that have joined are multiplied by from now on.
        """
        side = self.items if what == "item" else self.users
        grown = side.grown([], frame)
        grown = replace(grown, regressed=np.arange(len(side.names), len(grown.names), dtype=np.int32))
        setattr(self, f"{what}s", grown)
        self._grow_tables(what, grown.n_columns)
        factors = regress_indicators(self, what, counts, penalty)
        self._popularity_weights = fit_popularity(self.items.features, self.popularity)
        return factors

    def forget_users(self, user_ids: str | Sequence[Hashable]) -> Self:
        """Begin anew with users: their rows become those of someone who has just joined, without features."""
        indices = self.users.ids.indices_of(id_texts(user_ids))
        indices = indices[indices != UNKNOWN]
        self.users = self.users.cleared(indices)
        if self.users.has_indicators:
            self._initialise("user", self.users.indicator_columns[indices])
        return self

    def predict_online(
        self,
        user_id: Hashable,
        item_ids: str | Sequence[Hashable] | None = None,
        item_features: SparseFrame | None = None,
        user_features: SparseFrame | None = None,
        num_threads: int = 1,
        use_baseline: bool = False,
    ) -> pd.Series[float]:
        """Score items for one user by whatever is known of both.

        Only the features that are passed count, those of training are not looked up.

        Parameters
        ----------
        user_id
            Known or not.
        item_ids
            Items to score, in any order; all known ones when absent. A string is one item. Ids that are whole numbers
            or UUIDs, of the user too, are taken as text.
        item_features, user_features
            Rows for those who have features. Columns that were not learned count for nothing.
        num_threads
            Threads of LightFM's `predict`.
        use_baseline
            For a user of whom nothing is known (cases IV, VIII, XII), answer the popularity of the items.

        Returns
        -------
        Scores in the order of `item_ids`, which is the index. Items of which nothing is known (cases XIII
        to XVI) are left out. ``attrs`` has ``cases`` (item id to Roman numeral), ``unscored`` (the items
        left out, with the reason) and ``ignored_features``.

        Raises
        ------
        NotFittedError
            Before the first fit.
        UnknownUserError
            Nothing is known of the user, and `use_baseline` is off.
        """
        self._check_fitted()
        ids = list(self.items.ids) if item_ids is None else id_texts(item_ids)
        user_id = id_text(user_id)
        user = self.users.encode([user_id], user_features)
        items = self.items.encode(ids, item_features)
        row = user_row(self.users, user_id, user)
        blocks = item_blocks(self.items, ids, items)
        scorable = np.flatnonzero(blocks != cases.NOTHING_KNOWN)
        asked = [ids[index] for index in scorable.tolist()]
        if row == cases.NOTHING_KNOWN and not use_baseline:
            raise UnknownUserError(
                f"user {user_id!r} is not known and has no learned feature; "
                "pass user_features, or use_baseline=True for popularity"
            )
        if row == cases.NOTHING_KNOWN:
            scores = self._baseline(asked, items[scorable])
        else:
            scores = self._scores(user, items[scorable], num_threads)
        series = pd.Series(scores, index=[ids[index] for index in scorable], name="score")
        series.attrs = notes_of(
            ids, row, blocks, ignored_features(self.users, user_features) + ignored_features(self.items, item_features)
        )
        return series

    def baseline(
        self, item_ids: str | Sequence[Hashable], item_features: SparseFrame | None = None
    ) -> pd.Series[float]:
        """Popularity of exactly these items: learned for known ones, promised by features for others.

        Items of which nothing is known are left out.
        """
        self._check_fitted()
        ids = id_texts(item_ids)
        items = self.items.encode(ids, item_features)
        scorable = np.flatnonzero(item_blocks(self.items, ids, items) != cases.NOTHING_KNOWN)
        asked = [ids[index] for index in scorable.tolist()]
        return pd.Series(self._baseline(asked, items[scorable]), index=asked, name="score")

    @property
    def popularity_weights(self) -> NDArray[np.float32]:
        """What each learned item feature says of popularity, shape (n_features + 1,), intercept last."""
        self._check_fitted()
        return self._popularity_weights

    def restore_popularity(self, popularity: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
        """Take over the baseline of a stored model."""
        self.popularity = popularity
        self._popularity_weights = weights

    def _initialize(self, no_components: int, no_item_features: int, no_user_features: int) -> None:
        """What LightFM's `fit_partial` calls before the first epoch of all."""
        super()._initialize(no_components, no_item_features, no_user_features)
        if self._start is not None:
            take_over(self, self._start)

    def _run_epoch(
        self,
        item_features: sparse.csr_matrix,
        user_features: sparse.csr_matrix,
        interactions: sparse.coo_matrix,
        sample_weight: NDArray[np.float32],
        num_threads: int,
        loss: str,
    ) -> None:
        """What LightFM's `fit_partial` calls for each epoch."""
        stopping = self._stopping
        if stopping is not None and stopping.is_over:
            return
        if self.fit_with == "lightfm":
            super()._run_epoch(item_features, user_features, interactions, sample_weight, num_threads, loss)
        else:
            if self._trainer is None:
                self._trainer = CompiledTrainer(self, interactions, user_features, item_features, sample_weight)
            self._trainer.run_epoch(num_threads)
        if stopping is not None:
            stopping.count_epoch(self, interactions)

    def _reset_state(self) -> None:
        super()._reset_state()
        self.users = Entities.empty(has_indicators=self.indicators in ("users", "both"))
        self.items = Entities.empty(has_indicators=self.indicators in ("items", "both"))
        self.popularity = np.zeros(0, np.float32)
        self._popularity_weights = np.zeros(1, np.float32)

    def _check_fitted(self) -> None:
        if self.item_embeddings is None:
            raise NotFittedError("the recommender has learned nothing yet; call fit first")

    def _grow(
        self,
        interactions: SparseFrame,
        active: sparse.coo_matrix,
        user_features: SparseFrame | None,
        item_features: SparseFrame | None,
    ) -> None:
        positive = active.data > 0
        user_ids = interactions.rows.ids_of(np.unique(active.row[positive]))
        item_ids = interactions.columns.ids_of(np.unique(active.col[positive]))
        users, items = self.users.grown(user_ids, user_features), self.items.grown(item_ids, item_features)
        for what, side in (("user", users), ("item", items)):
            if not side.n_columns and len(side.ids):
                raise MissingFeaturesError(f"with indicators={self.indicators!r}, pass {what}_features to learn from")
        self.users, self.items = users, items
        self._grow_tables("user", users.n_columns)
        self._grow_tables("item", items.n_columns)
        self.popularity = np.pad(self.popularity, (0, len(self.items.ids) - len(self.popularity)))

    def _check_rows(self, pairs: sparse.coo_matrix) -> None:
        """Refuse interactions of which nothing can be learned: LightFM would divide by 0 there."""
        if self.users.has_indicators or self.items.has_indicators:
            return
        bare_users, bare_items = (np.diff(side.features.indptr) == 0 for side in (self.users, self.items))
        bare = bare_users[pairs.row] & bare_items[pairs.col]
        if bare.any():
            rows = {"user": (self.users, pairs.row), "item": (self.items, pairs.col)}
            named = " and ".join(_named(what, side, np.unique(own[bare])) for what, (side, own) in rows.items())
            raise MissingFeaturesError(
                f"in {int(bare.sum())} of {len(bare)} interactions neither has a feature that was passed: {named}; "
                "pass features of theirs, or set indicators, which need none"
            )

    def _grow_tables(self, what: str, n_columns: int) -> None:
        """Append rows as LightFM initialises them; the old ones keep every bit."""
        if self.item_embeddings is None:
            return
        n_old = len(getattr(self, f"{what}_biases"))
        for table in TABLES:
            old = getattr(self, f"{what}_{table}")
            setattr(self, f"{what}_{table}", np.concatenate([old, np.empty((n_columns - n_old, *old.shape[1:]), "f4")]))
        self._initialise(what, np.arange(n_old, n_columns))

    def _initialise(self, what: str, columns: NDArray[np.integer]) -> None:
        noise = (self.random_state.rand(len(columns), self.no_components) - 0.5) / self.no_components
        start = 1.0 if self.learning_schedule == "adagrad" else 0.0
        for table, value in zip(TABLES, (noise, start, 0.0, 0.0, start, 0.0), strict=True):
            getattr(self, f"{what}_{table}")[columns] = value

    def _placed(self, frame: SparseFrame) -> tuple[sparse.coo_matrix, NDArray[np.bool_]]:
        """Stored values at the places of this model, and which of them have one."""
        active = frame.matrix.tocoo()
        rows = self.users.ids.indices_of(frame.rows)[active.row]
        columns = self.items.ids.indices_of(frame.columns)[active.col]
        # a value of 0 may stand for a pair of which one never had an interaction and has not joined
        joined = (rows != UNKNOWN) & (columns != UNKNOWN)
        places = (rows[joined], columns[joined])
        shape = (len(self.users.ids), len(self.items.ids))
        return sparse.coo_matrix((active.data[joined], places), shape, dtype=np.float32), joined

    def _scores(self, user: sparse.csr_matrix, items: sparse.csr_matrix, num_threads: int) -> NDArray[np.float32]:
        if not items.shape[0]:
            return np.zeros(0, np.float32)
        positions = np.arange(items.shape[0], dtype=np.int32)
        scores: NDArray[np.float32] = self.predict(0, positions, items, user, num_threads)
        return scores

    def _baseline(self, item_ids: Sequence[str], items: sparse.csr_matrix) -> NDArray[np.float32]:
        indices = self.items.ids.indices_of(item_ids)
        promised = predict_popularity(self._popularity_weights, items[:, self.items.feature_columns])
        return np.where(indices != UNKNOWN, np.append(self.popularity, np.float32(0))[indices], promised)


def _named(what: str, side: Entities, indices: NDArray[np.integer]) -> str:
    """``45 users ('u5', 'u6', 'u7', …)``."""
    some = ", ".join(map(repr, side.ids.ids_of(indices[:3].tolist()))) + (", …" if len(indices) > 3 else "")
    return f"{len(indices)} {what}{'s' if len(indices) > 1 else ''} ({some})"
