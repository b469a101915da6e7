"""Position-based click model: a click needs that a position is looked at, and that its item attracts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recommender.simulation.tastes import Tastes


class PositionBasedModel:
    """Position-based model (PBM): ``P(click) = examination(position) · attraction(user, item)``.

    ``examination = position^-bias`` and ``attraction = 1 / (1 + exp(-(level + slope · affinity)))``.

    Parameters
    ----------
    tastes
        Which give the affinity.
    bias
        Position bias; 0 for none.
    level, slope
        Of the attraction: with -2 and 1.5 one item in eight attracts on average.

    References
    ----------
    .. [1] A. Chuklin, I. Markov, M. de Rijke, Click Models for Web Search, 2015, section 3.2.
    """

    def __init__(self, tastes: Tastes, bias: float = 0.7, level: float = -2.0, slope: float = 1.5) -> None:
        self.tastes = tastes
        self._bias, self._level, self._slope = bias, level, slope

    def attractions(self, user_id: str, item_ids: Sequence[str]) -> NDArray[np.float64]:
        """Probability of a click on each item, were it looked at; of shape (n_items,)."""
        return 1 / (1 + np.exp(-(self._level + self._slope * self.tastes.affinities(user_id, item_ids))))

    def probabilities(self, user_id: str, item_ids: Sequence[str]) -> NDArray[np.float64]:
        """Probability of a click on each item of a list, first position first; of shape (n_items,)."""
        positions = np.arange(1, len(item_ids) + 1, dtype=np.float64)
        found: NDArray[np.float64] = positions**-self._bias * self.attractions(user_id, item_ids)
        return found
