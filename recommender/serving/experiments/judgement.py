"""Judgement of an experiment: figures of each variant and a decision in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from recommender.evaluation.confidence_sequences import (
    ALPHA,
    Estimate,
    difference,
    exposures_needed,
    hit_rate,
    share,
    with_interval,
)
from recommender.evaluation.experiment_counts import VariantCounts
from recommender.evaluation.sample_ratio import mismatch_p_value
from recommender.serving.experiments.experiment import Experiment, Guardrail

Decision = Literal["wait", "ship", "rollback", "invalid"]

MISMATCH_P = 0.001
"""Below it users are not spread as they should be: something drops or moves them, and no figure means anything."""
MORE_SHARE = 0.01
"""How much larger the share of empty or degraded answers may be, in hundredths of all answers: one."""
P99_ANSWERS = 1_000
"""Answers of each variant from which on their slowest hundredths are compared: of fewer these are a handful."""
SLOWER, SLOWER_MS = 1.5, 20.0
"""How many times slower the slowest hundredth may be, and how many milliseconds, both."""


class Figure(msgspec.Struct, frozen=True):
    """A figure with an interval that holds at every look; low and high are null while there is none yet."""

    value: float
    low: float | None
    high: float | None


class VariantFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one variant; differences are to the first one, which has none."""

    name: str
    share: float
    users: int
    exposures: int
    metric: Figure
    difference: Figure | None = None
    relative_difference: Figure | None = None
    """Difference as a share of the first variant's metric."""
    empty_share: float
    degraded_share: float
    p99_ms: float | None


class Judgement(NamedTuple):
    """Figures and decision of one look."""

    variants: list[VariantFigures]
    mismatch_p: float
    decision: Decision
    reason: str
    best: str | None
    """Variant that is to be shipped."""
    exposures_needed: int | None
    """Of each variant, for a tenth more or less to be beyond doubt in four of five experiments."""


def judge(experiment: Experiment, counts: Mapping[str, VariantCounts], over: bool = False) -> Judgement:
    """Figures of an experiment and what they say.

    Parameters
    ----------
    experiment
        Which.
    counts
        By variant; one that is absent has been shown to nobody.
    over
        Whether it has ended, or its time has passed.
    """
    own = [counts.get(each.name, VariantCounts()) for each in experiment.variants]
    control = own[0]
    # each comparison has its part of the probability to be misled
    alpha = ALPHA / (len(own) - 1)
    differences = [_difference(control, each, experiment.min_exposures, alpha) for each in own]
    mismatch_p = mismatch_p_value([each.users for each in own], [each.share for each in experiment.variants])
    decision, reason, best = _decide(experiment, own, differences, mismatch_p, over)
    figures = [_figures(experiment, *each, control) for each in zip(range(len(own)), own, differences, strict=True)]
    rate = hit_rate(control).value
    needed = exposures_needed(rate, 0.1, experiment.min_exposures, alpha) if 0 < rate < 0.9 else None
    return Judgement(figures, mismatch_p, decision, reason, best, needed)


def broken_guardrail(
    guardrails: Sequence[Guardrail], control: VariantCounts, other: VariantCounts, min_exposures: int
) -> str | None:
    """Guardrail that a variant breaks beyond doubt, in words; None where none is."""
    enough = min(control.answers, other.answers) >= min_exposures
    for name in guardrails if enough else ():
        if name == "p99_ms":
            one, two = control.p99_ms, other.p99_ms
            known = min(control.answers, other.answers) >= P99_ANSWERS
            if known and one is not None and two is not None and two > SLOWER * one and two > one + SLOWER_MS:
                return f"p99_ms is {two:.0f}, {two / one:.1f} times the {one:.0f} of the first variant"
            continue
        parts = (control.empty, other.empty) if name == "empty_share" else (control.degraded, other.degraded)
        growth = min(control.answers, other.answers) / min_exposures
        apart = difference(share(parts[1], other.answers), share(parts[0], control.answers))
        if with_interval(apart, growth).low > MORE_SHARE:
            return f"{name} is {parts[1] / other.answers:.1%} instead of {parts[0] / control.answers:.1%}"
    return None


def _difference(control: VariantCounts, other: VariantCounts, min_exposures: int, alpha: float) -> Estimate:
    growth = min(control.exposures, other.exposures) / min_exposures
    return with_interval(difference(hit_rate(other), hit_rate(control)), growth, alpha)


def _decide(
    experiment: Experiment,
    counts: Sequence[VariantCounts],
    differences: Sequence[Estimate],
    mismatch_p: float,
    over: bool,
) -> tuple[Decision, str, str | None]:
    if mismatch_p < MISMATCH_P:
        users = ", ".join(f"{v.name} {c.users}" for v, c in zip(experiment.variants, counts, strict=True))
        return "invalid", f"users are not spread as the shares say ({users}; p = {mismatch_p:.2g})", None
    for variant, own in list(zip(experiment.variants, counts, strict=True))[1:]:
        broken = broken_guardrail(experiment.guardrails, counts[0], own, experiment.min_exposures)
        if broken is not None:
            return "invalid", f"{variant.name} breaks a guardrail: {broken}", None
    others = list(zip(experiment.variants, differences, strict=True))[1:]
    best, gain = max(others, key=lambda each: each[1].value)
    if gain.low > 0:
        return "ship", f"{best.name} has more {experiment.metric} beyond doubt: {_words(gain)}", best.name
    if all(each.high < 0 for _, each in others):
        worse = ", ".join(f"{variant.name} {_words(each)}" for variant, each in others)
        return "rollback", f"less {experiment.metric} beyond doubt: {worse}", None
    return "wait", _waiting(experiment, counts, over), None


def _waiting(experiment: Experiment, counts: Sequence[VariantCounts], over: bool) -> str:
    fewest = min(each.exposures for each in counts)
    if over:
        return "it is over without a difference beyond doubt; the placement stays as it is"
    if fewest < experiment.min_exposures:
        return f"a variant has {fewest} exposures, {experiment.min_exposures} are asked for"
    return "no difference is beyond doubt yet"


def _figures(
    experiment: Experiment, number: int, counts: VariantCounts, apart: Estimate, control: VariantCounts
) -> VariantFigures:
    variant = experiment.variants[number]
    rate, base = hit_rate(counts), hit_rate(control).value
    growth = counts.exposures / experiment.min_exposures
    relative = Estimate(*(each / base for each in apart)) if base else None
    return VariantFigures(
        name=variant.name,
        share=variant.share,
        users=counts.users,
        exposures=counts.exposures,
        metric=_figure(_of_a_rate(with_interval(rate, growth))),
        difference=_figure(apart) if number else None,
        relative_difference=_figure(relative) if number and relative else None,
        empty_share=counts.empty / max(1, counts.answers),
        degraded_share=counts.degraded / max(1, counts.answers),
        p99_ms=counts.p99_ms,
    )


def _of_a_rate(estimate: Estimate) -> Estimate:
    """A rate whose interval ends where rates do: what is beyond 0 and 1 never was the truth."""
    known = estimate.low > float("-inf")
    return estimate._replace(low=max(0.0, estimate.low), high=min(1.0, estimate.high)) if known else estimate


def _figure(estimate: Estimate) -> Figure:
    known = estimate.low > float("-inf")
    return Figure(
        round(estimate.value, 6),
        round(estimate.low, 6) if known else None,
        round(estimate.high, 6) if known else None,
    )


def _words(estimate: Estimate) -> str:
    return f"{estimate.value:+.4f} ({estimate.low:+.4f} to {estimate.high:+.4f})"
