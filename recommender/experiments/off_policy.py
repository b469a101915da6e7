"""Off-policy evaluation: what another setting would have brought, from what a setting that draws has shown.

Each drawn item is a decision with its propensity and a reward. The target says with which probability it would have
drawn each item there; nothing is shown to anybody.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Z = float(stats.norm.ppf(0.975))
TAIL = 0.01
"""Share of the decisions whose weights are the tail."""
LEAST_SAMPLE, HEAVIEST_TAIL = 100.0, 0.25
"""An estimate that rests on fewer effective decisions, or so much on its tail, is not to be trusted."""


class LoggedDecisions(NamedTuple):
    """Decisions of a setting that draws; every array has shape (n,).

    `modelled` and `expected` are what a reward model says, of the item that was shown and of what the target would have
    drawn: ``expected = Σ_a target(a) · model(a)``. With zeros the doubly robust estimate is the one of IPS.
    """

    rewards: NDArray[np.float64]
    propensities: NDArray[np.float64]
    """Probability with which the shown item was drawn, above 0."""
    targets: NDArray[np.float64]
    """Probability with which the target would have drawn it."""
    modelled: NDArray[np.float64]
    expected: NDArray[np.float64]


class Estimate(NamedTuple):
    """Mean reward of a decision, with its interval at 95 % by the normal distribution."""

    value: float
    low: float
    high: float


class WeightDiagnostics(NamedTuple):
    """What importance weights say of an estimate's worth."""

    decisions: int
    matched: float
    """Share of the decisions that the target might have made."""
    effective_sample_size: float
    """Kish's ``(Σ w)² / Σ w²``: so many decisions of the target's own would say as much."""
    largest_weight: float
    tail: float
    """Part of all weights that the heaviest hundredth has."""
    mean_weight: float
    """1 where the propensities are true and cover what the target does."""

    @property
    def warnings(self) -> list[str]:
        """Why the estimates are not to be trusted; none where they are."""
        found = []
        if self.effective_sample_size < LEAST_SAMPLE:
            found.append(f"it rests on {self.effective_sample_size:.0f} effective decisions of {self.decisions}")
        if self.tail > HEAVIEST_TAIL:
            found.append(f"a hundredth of the decisions has {self.tail:.0%} of the weight")
        return found


class OffPolicyReport(NamedTuple):
    """Estimates of a target by three estimators, with what they rest on."""

    logged: Estimate
    """What the setting that was logged has brought."""
    ips: Estimate
    snips: Estimate
    dr: Estimate
    weights: WeightDiagnostics


def evaluate_off_policy(logged: LoggedDecisions) -> OffPolicyReport:
    """Estimate a target by inverse propensities (IPS), self-normalised (SNIPS), and doubly robust (DR).

    Returns
    -------
    With ``w = target / propensity`` and reward ``r``: IPS is the mean of ``w r``, SNIPS ``Σ w r / Σ w``, and DR the
    mean of ``expected + w (r - modelled)``. The interval of SNIPS is by the delta method.

    Raises
    ------
    ValueError
        There is no decision, or a propensity is not above 0.

    References
    ----------
    .. [1] D. Horvitz, D. Thompson, A Generalization of Sampling Without Replacement, 1952.
    .. [2] A. Swaminathan, T. Joachims, The Self-Normalized Estimator for Counterfactual Learning, 2015.
    .. [3] M. Dudík, J. Langford, L. Li, Doubly Robust Policy Evaluation and Learning, 2011.
    """
    if not len(logged.rewards):
        raise ValueError("there is no decision with a propensity: nothing was explored, or nothing was kept")
    if not (logged.propensities > 0).all():
        raise ValueError("a propensity is not above 0")
    weights = logged.targets / logged.propensities
    total = float(weights.sum())
    normalised = float((weights * logged.rewards).sum() / total) if total else float("nan")
    residuals = weights * (logged.rewards - normalised) * len(weights) / total if total else weights
    return OffPolicyReport(
        _mean(logged.rewards),
        _mean(weights * logged.rewards),
        _around(normalised, residuals),
        _mean(logged.expected + weights * (logged.rewards - logged.modelled)),
        _diagnose(weights),
    )


def fit_reward_model(
    contexts: NDArray[np.int64], actions: NDArray[np.int64], rewards: NDArray[np.float64], prior: float = 20.0
) -> NDArray[np.float64]:
    """Mean reward of each context and action, shrunk to those of both alone; of shape (n_contexts, n_actions).

    Parameters
    ----------
    contexts, actions
        Of each decision, counted from 0; a context is a position.
    rewards
        Of each decision.
    prior
        Decisions that the product of the two means counts as.
    """
    shape = int(contexts.max()) + 1, int(actions.max()) + 1
    sums, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, (contexts, actions), rewards)
    np.add.at(counts, (contexts, actions), 1.0)
    mean = rewards.mean()
    by_action = (sums.sum(0) + prior * mean) / (counts.sum(0) + prior)
    by_context = (sums.sum(1) + prior * mean) / (counts.sum(1) + prior)
    product = np.outer(by_context, by_action) / mean if mean else np.zeros(shape)
    found: NDArray[np.float64] = (sums + prior * product) / (counts + prior)
    return found


def _mean(values: NDArray[np.float64]) -> Estimate:
    return _around(float(values.mean()), values)


def _around(value: float, values: NDArray[np.float64]) -> Estimate:
    half = Z * float(values.std(ddof=1)) / np.sqrt(len(values)) if len(values) > 1 else np.inf
    return Estimate(value, value - half, value + half)


def _diagnose(weights: NDArray[np.float64]) -> WeightDiagnostics:
    total, squares = float(weights.sum()), float((weights**2).sum())
    heaviest = np.sort(weights)[-max(1, int(TAIL * len(weights))) :]
    return WeightDiagnostics(
        len(weights),
        float((weights > 0).mean()),
        total**2 / squares if squares else 0.0,
        float(weights.max()),
        float(heaviest.sum()) / total if total else 0.0,
        float(weights.mean()),
    )
