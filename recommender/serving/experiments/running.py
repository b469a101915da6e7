"""Changes of experiments: what starting and ending one does to the settings, checked against those that there are."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from recommender.errors import ConflictingSettingsError, InvalidRequestError
from recommender.serving.experiments.experiment import EVERYWHERE, Experiment
from recommender.serving.placements.placement import Placement
from recommender.serving.placements.settings import Settings, write_document
from recommender.stores.settings_log import SettingPut

CHANGEABLE = ("guardrails", "min_exposures", "until")
"""What may be changed while an experiment runs: nothing that moves a user from one variant to another."""


def start(name: str, experiment: Experiment, settings: Settings, now: float, *, has_figures: bool) -> list[SettingPut]:
    """Changes that start an experiment, or change one that runs.

    Parameters
    ----------
    name, experiment
        Which.
    settings
        As they are; they have its placement.
    now
        Seconds since the epoch.
    has_figures
        Whether somebody was shown something under this name.

    Raises
    ------
    InvalidRequestError
        The settings of a variant contradict those of the placement.
    ConflictingSettingsError
        The placement has another experiment, or one of this name has figures that would be mixed with these.
    """
    check_variants(experiment, settings.placements[experiment.placement])
    running = settings.running(experiment.placement, now)
    if running is not None and running[0] != name:
        raise ConflictingSettingsError(
            f"placement {experiment.placement!r} has experiment {running[0]!r}; end that first"
        )
    old = settings.experiments.get(name)
    if old is not None and old.ended_at is None:
        return [_put(name, _changed(name, old, experiment))]
    if has_figures:
        raise ConflictingSettingsError(
            f"experiment {name!r} has figures of before, which would be mixed; take another name"
        )
    return [_put(name, experiment)]


def check_variants(experiment: Experiment, placement: Placement) -> None:
    """Refuse variants whose settings contradict those of the placement that they stand in for.

    Raises
    ------
    InvalidRequestError
        Names the variant, and what contradicts what.
    """
    for variant in experiment.variants:
        try:
            placement.updated(variant.settings).check()
        except InvalidRequestError as error:
            raise InvalidRequestError(f"variant {variant.name!r} of the experiment: {error}") from None


def end(name: str, settings: Settings, now: float, ship: str | None = None) -> list[SettingPut]:
    """Changes that end an experiment, and put the settings of a variant into its placement.

    Raises
    ------
    InvalidRequestError
        It has no such variant.
    ConflictingSettingsError
        It has ended before, is a canary, or its placement is gone.
    """
    experiment = settings.experiments[name]
    if experiment.ended_at is not None:
        raise ConflictingSettingsError(f"experiment {name!r} has ended before")
    if experiment.placement == EVERYWHERE:
        raise ConflictingSettingsError(
            f"{name!r} tries a version and ends by itself; activate a version to end it by hand"
        )
    ended = msgspec.structs.replace(experiment, ended_at=now, shipped=ship)
    if ship is None:
        return [_put(name, ended)]
    variant = experiment.variant(ship)
    if variant is None:
        known = ", ".join(each.name for each in experiment.variants)
        raise InvalidRequestError(f"experiment {name!r} has no variant {ship!r}; there are {known}")
    if experiment.placement not in settings.placements:
        raise ConflictingSettingsError(f"placement {experiment.placement!r} is gone; there is nothing to ship into")
    placement = settings.placements[experiment.placement].updated(variant.settings)
    placement.check()
    return [SettingPut("placement", experiment.placement, write_document(placement)), _put(name, ended)]


def _put(name: str, experiment: Experiment) -> SettingPut:
    return SettingPut("experiment", name, write_document(experiment))


def _changed(name: str, old: Experiment, new: Experiment) -> Experiment:
    fields: Mapping[str, object] = {each: getattr(new, each) for each in CHANGEABLE}
    changed = msgspec.structs.replace(old, **fields)
    if changed != msgspec.structs.replace(new, started_at=old.started_at):
        raise ConflictingSettingsError(
            f"experiment {name!r} runs: only {', '.join(CHANGEABLE)} can be changed, or users would change variants"
        )
    return changed
