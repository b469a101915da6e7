"""Settings: the placements and experiments of a service, and what they make of a query."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping

import msgspec

from recommender.schema import Assignment, Query
from recommender.serving.experiments.experiment import EVERYWHERE, Experiment
from recommender.serving.placements.placement import Placement, with_placement
from recommender.stores.settings_log import SettingChange, StoredSettings


class Settings:
    """All placements and experiments at one number of the settings.

    Parameters
    ----------
    number
        Of the newest change.
    placements, experiments
        By name.
    """

    def __init__(
        self,
        number: int = 0,
        placements: Mapping[str, Placement] | None = None,
        experiments: Mapping[str, Experiment] | None = None,
    ) -> None:
        self.number = number
        self.placements = dict(placements or {})
        self.experiments = dict(experiments or {})
        # one at a time runs; others, whose time has passed, need not have been ended
        self._by_placement: dict[str, list[tuple[str, Experiment]]] = {}
        for name, each in self.experiments.items():
            if each.ended_at is None:
                self._by_placement.setdefault(each.placement, []).append((name, each))

    @classmethod
    def of(cls, stored: StoredSettings) -> Settings:
        """Settings as the store has them."""
        placements = {each.name: read_placement(each) for each in stored.settings if each.kind == "placement"}
        experiments = {each.name: read_experiment(each) for each in stored.settings if each.kind == "experiment"}
        return cls(stored.number, placements, experiments)

    def running(self, placement: str, now: float | None = None) -> tuple[str, Experiment] | None:
        """Name and document of the experiment that splits the users of a placement."""
        at = time.time() if now is None else now
        return next((each for each in self._by_placement.get(placement, ()) if each[1].runs(at)), None)

    def versions(self, now: float | None = None) -> set[str]:
        """Versions that variants of running experiments answer by."""
        at = time.time() if now is None else now
        running = [each for each in self.experiments.values() if each.runs(at)]
        return {own.model_version for each in running for own in each.variants if own.model_version is not None}

    def applied(
        self,
        queries: Iterable[Query],
        *,
        current: bool = True,
        now: float | None = None,
        versions: Collection[str] | None = None,
    ) -> list[Query]:
        """Queries with the settings of their placements, as far as they have not set them themselves.

        Users of a placement with an experiment have the settings of their variant in place of the placement's.

        Parameters
        ----------
        queries
            With or without a placement.
        current
            Whether these settings are those of the store now. Where they are not, a placement may be there that is
            not among them, and a query for it stays as it is.
        now
            Seconds since the epoch; the clock's when absent. Rules are those that hold then.
        versions
            Those that can answer here; None for any. Where an experiment needs another one, all its users are answered
            as if there were none, and are not counted in it.

        Returns
        -------
        A query each, in their order, with `Query.is_unknown` where there is no placement of that name.
        """
        at = time.time() if now is None else now
        everywhere = self.running(EVERYWHERE, at)
        return [self._applied(query, current, at, versions, everywhere) for query in queries]

    def _applied(
        self,
        query: Query,
        current: bool,
        now: float,
        versions: Collection[str] | None,
        everywhere: tuple[str, Experiment] | None,
    ) -> Query:
        placement = _NO_SETTINGS if query.placement is None else self.placements.get(query.placement)
        if placement is None:
            return msgspec.structs.replace(query, is_unknown=current)
        running = (self.running(query.placement, now) if query.placement else None) or everywhere
        variant = running and running[1].assigned(running[0], query)
        if running is None or variant is None or not _can_answer(running[1], versions):
            return query if query.placement is None else with_placement(query, placement, now)
        assigned = msgspec.structs.replace(
            query, experiment=Assignment(running[0], variant.name), model_version=variant.model_version
        )
        return with_placement(assigned, placement.updated(variant.settings), now)


def read_placement(change: SettingChange) -> Placement:
    """Placement of a change; one that was deleted has no settings."""
    return _placement.decode(change.document or b"{}")


def read_experiment(change: SettingChange) -> Experiment:
    """Experiment of a change, which is not a deletion."""
    return _experiment.decode(change.document or b"")


def write_document(setting: Placement | Experiment) -> bytes:
    """Document of a placement or an experiment: JSON of what is set."""
    return _encoder.encode(setting)


def _can_answer(experiment: Experiment, versions: Collection[str] | None) -> bool:
    """Whether all variants can be answered: else who is counted would depend on the variant."""
    wanted = (each.model_version for each in experiment.variants)
    return versions is None or all(version is None or version in versions for version in wanted)


_NO_SETTINGS = Placement()
_placement = msgspec.json.Decoder(Placement)
_experiment = msgspec.json.Decoder(Experiment)
_encoder = msgspec.json.Encoder()
