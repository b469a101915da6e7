"""Data changes: what of the data is otherwise than at the training before, in words that say what to look at."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import msgspec

from recommender.storage.registry.data_health import DataHealth, SideHealth

ENOUGH = 50
"""Users, items or interactions below which a share says nothing."""
COMMON = 0.05
"""Share of a feature or an event whose coming or going is told."""
MISSING_MORE = 0.2
"""By how much more a share of what is missing must have grown."""
FALLEN, RISEN = 0.5, 3.0
"""Times the usual volume of a day."""
DAYS = 4
"""Of volume before the newest whole one, at least."""
SHIFTED = 0.6
UNKNOWN_CASES = ("IV", "VIII", "XII", "XVI")


def with_changes(now: DataHealth, before: DataHealth | None) -> DataHealth:
    """What a training saw, with what is otherwise than at the training before.

    Parameters
    ----------
    now
        From `recommender.training.data_survey.survey`.
    before
        Of the training before of the same kind; None where there was none, or an older release wrote it.
    """
    found = (
        []
        if before is None
        else [*_of_side("users", now.users, before.users), *_of_side("items", now.items, before.items)]
    )
    found += [] if before is None else [*_of_events(now, before), *_of_missing_times(now, before)]
    return msgspec.structs.replace(now, changes=[*found, *_of_volume(now), *_of_spread(now)])


def _of_side(name: str, now: SideHealth, before: SideHealth) -> Iterator[str]:
    if min(now.seen, before.seen) < ENOUGH:
        return
    for feature in sorted(before.features.keys() - now.features.keys()):
        if before.features[feature] >= COMMON:
            yield f"{name} no longer have the feature {feature!r}, which {before.features[feature]:.0%} of them had"
    for feature in sorted(now.features.keys() - before.features.keys()):
        if now.features[feature] >= COMMON:
            yield f"{now.features[feature]:.0%} of the {name} have a new feature, {feature!r}"
    for feature in sorted(now.features.keys() & before.features.keys()):
        if before.features[feature] - now.features[feature] > MISSING_MORE:
            yield (
                f"the feature {feature!r} is there for {now.features[feature]:.0%} of the {name}, "
                f"after {before.features[feature]:.0%}"
            )
    if now.without_features - before.without_features > MISSING_MORE:
        yield f"{now.without_features:.0%} of the {name} have no features, after {before.without_features:.0%}"


def _of_events(now: DataHealth, before: DataHealth) -> Iterator[str]:
    if min(now.interactions, before.interactions) < ENOUGH:
        return
    for event, count in before.by_event.items():
        if event not in now.by_event and count >= COMMON * before.interactions:
            yield f"no interaction has the event {event!r} any more, which {count / before.interactions:.0%} had"
    for event, count in now.by_event.items():
        if event not in before.by_event and count >= COMMON * now.interactions:
            yield f"{count / now.interactions:.0%} of the interactions have a new event, {event!r}"


def _of_missing_times(now: DataHealth, before: DataHealth) -> Iterator[str]:
    if min(now.interactions, before.interactions) >= ENOUGH and (
        now.without_timestamp - before.without_timestamp > MISSING_MORE
    ):
        yield f"{now.without_timestamp:.0%} of the interactions have no timestamp, after {before.without_timestamp:.0%}"


def _of_volume(now: DataHealth) -> Iterator[str]:
    """The newest whole day beside those before it; the newest of all is not over."""
    whole = list(now.by_day.items())[:-1]
    if len(whole) < DAYS + 1:
        return
    (day, count), usual = whole[-1], statistics.median(count for _, count in whole[:-1])
    if usual >= ENOUGH and not FALLEN * usual <= count <= RISEN * usual:
        yield f"{day} has {count:,} interactions, where {usual:,.0f} a day were usual"


def _of_spread(now: DataHealth) -> Iterator[str]:
    if now.popularity_shift is not None and now.popularity_shift > SHIFTED:
        yield (
            "new interactions are spread over items otherwise than what was learned "
            f"(distance {now.popularity_shift:.2f} of 1): another catalogue, or one client that sends very much?"
        )
    strangers = sum(now.cases.get(case, 0.0) for case in UNKNOWN_CASES)
    if now.interactions >= ENOUGH and strangers > 0.5:
        yield f"{strangers:.0%} of the interactions are of users of whom nothing is known: do their ids still fit?"
