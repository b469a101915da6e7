"""Ruled list: the rules of a placement, kept exactly on what the catalogue has for one user.

The rules are first solved on the best of the ranking, somewhat more than are wanted. Only where these are not enough
are further ones retrieved: more of all, those that fit a share that is lacking, or, at the very end, those that are
buried.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from recommender.feature_space import clean_token
from recommender.schema import Rule
from recommender.serving.catalogue import Catalogue
from recommender.serving.filters import Filter
from recommender.serving.placements.arrangement import Arrangement, Promotion, Rules, WindowLimit, arrange
from recommender.serving.retrieval import RetrievalRequest, Retrieved, choose

MORE = 16
"""Candidates that are retrieved beyond twice the wanted length."""
WIDER = 4
"""How many times as many are retrieved where they were not enough."""


def depth(k: int) -> int:
    """How many of the best are retrieved for a list of `k` with rules."""
    return 2 * k + MORE


def without_buried(rules: Sequence[Rule]) -> tuple[tuple[str, ...], ...]:
    """What `RetrievalRequest.narrowed` is for these rules: buried items are none of those that are ranked."""
    buried = tuple(f"-{rule.bury}" for rule in rules if rule.bury is not None)
    return (buried,) if buried else ()


def apply_rules(
    catalogue: Catalogue, wish: RetrievalRequest, ranked: Retrieved, k: int, rules: Sequence[Rule], n_shown: int = 0
) -> Retrieved:
    """Keep rules on a ranked list.

    Parameters
    ----------
    catalogue
        Where `ranked` is from.
    wish
        What was wanted, narrowed by `without_buried`; where `ranked` is shorter than its `k`, these are all there are.
    ranked
        Best first, or in the order of diversity, with explored items where they were drawn.
    k
        Wanted length.
    rules
        Those that hold now.
    n_shown
        Items on the pages before this one; positions of pins count from the first page on. Shares and limits hold
        within each page.

    Returns
    -------
    The list, with `Retrieved.rules`: why an item stands where it does.
    """
    pool = _Pool(catalogue, wish, ranked, rules, n_shown)
    while True:
        rules_of_pool = pool.rules()
        found = arrange(len(pool.positions), k, rules_of_pool)
        if not pool.extend(found, k):
            break
    shown = [pool.positions[each] for each in found.order]
    scores = np.array([pool.scores[each] for each in shown], np.float32)
    names = {pool.positions[each]: name for each, name in found.names.items()}
    return Retrieved(shown, scores, {each: ranked.explored[each] for each in shown if each in ranked.explored}, names)


class _Pool:
    """Candidates of one list: ranked ones, then those that were retrieved beside them."""

    def __init__(
        self, catalogue: Catalogue, wish: RetrievalRequest, ranked: Retrieved, rules: Sequence[Rule], n_shown: int
    ) -> None:
        self._catalogue, self._wish, self._k = catalogue, wish, wish.k
        self._promoted = [rule for rule in rules if rule.promote is not None]
        self._limits = [rule for rule in rules if rule.limit is not None]
        self._ranked = list(ranked.positions)
        self._fitting: list[int] = []
        self._buried: list[int] = []
        self.positions: list[int] = []
        """Positions in the catalogue, each once: ranked, fitting, buried, pinned."""
        self.scores = dict(zip(ranked.positions, ranked.scores.tolist(), strict=True))
        self._all_ranked = len(ranked.positions) < wish.k
        self._depths = [0] * len(self._promoted)
        self._buried_depth: int | None = 0 if wish.narrowed else None
        self._pins = self._pinned([rule for rule in rules if rule.pin is not None], n_shown)

    def rules(self) -> Rules:
        """The rules about the candidates by their numbers in `positions`."""
        catalogue = self._catalogue
        positions = self.positions = list(
            dict.fromkeys([*self._ranked, *self._fitting, *self._buried, *self._pins.values()])
        )
        numbers = {position: number for number, position in enumerate(positions)}
        promotions = [
            Promotion(float(rule.share or 0), catalogue.having(positions, clean_token(str(rule.promote))))
            for rule in self._promoted
        ]
        limits = [
            WindowLimit(int(rule.at_most or 1), int(rule.within or 1), catalogue.values(positions, str(rule.limit)))
            for rule in self._limits
        ]
        buried = set(self._buried)
        pins = {at: numbers[position] for at, position in self._pins.items()}
        return Rules(pins, promotions, limits, [each in buried for each in positions] if buried else ())

    def extend(self, found: Arrangement, k: int) -> bool:
        """Retrieve what was lacking; False where nothing was, or there is no more of it."""
        if self._all_ranked:
            return found.ended and self._retrieve_buried(k)
        extended = False
        if found.lacking:
            # all of them, once: what is here of one promotion must not be taken for the best of another
            missing = [number for number, depth in enumerate(self._depths) if depth == 0 or number in found.lacking]
            found_more = [self._retrieve_fitting(number, k) for number in missing]
            extended = any(found_more)
        return (self._is_beyond_ranking(found) and self._retrieve_ranked()) or extended

    def _is_beyond_ranking(self, found: Arrangement) -> bool:
        """Whether a position went by rank to a candidate before which others may come that are not here yet."""
        n_ranked = len(self._ranked)
        by_rank = (each for each in found.order if found.names.get(each) not in ("promote", "pin"))
        return found.blocked or any(each >= n_ranked for each in by_rank)

    def _retrieve_ranked(self) -> bool:
        self._k *= WIDER
        found = self._chosen(self._wish._replace(k=self._k))
        self._all_ranked = len(found) < self._k
        self._ranked = list(dict.fromkeys([*self._ranked, *found]))
        return True

    def _retrieve_fitting(self, number: int, k: int) -> bool:
        """Best of those that fit a promotion; False where all of them are here."""
        depth, narrowed = self._depths[number], self._wish.narrowed
        if depth < 0:
            return False
        wanted = max(k, depth * WIDER)
        clause = (str(self._promoted[number].promote),)
        found = self._chosen(self._wish._replace(k=wanted, narrowed=(*narrowed, clause)))
        self._depths[number] = -1 if len(found) < wanted else wanted
        order = self._catalogue.order_of
        self._fitting = sorted({*self._fitting, *found}, key=lambda each: (-self.scores[each], order(each)))
        return True

    def _retrieve_buried(self, k: int) -> bool:
        """Best of those that are buried; False where all of them are here, or there is no such rule."""
        if self._buried_depth is None:
            return False
        wanted = max(len(self._ranked) + k, self._buried_depth * WIDER)
        others = {*self._ranked, *self._fitting}
        found = self._chosen(self._wish._replace(k=wanted, narrowed=()))
        self._buried_depth = None if len(found) < wanted else wanted
        self._buried = [each for each in found if each not in others]
        return True

    def _chosen(self, wish: RetrievalRequest) -> list[int]:
        [found] = choose(self._catalogue, [wish])
        # what has a score has it from this user's ranking, where diversity and exploration may have come in
        self.scores = {**dict(zip(found.positions, found.scores.tolist(), strict=True)), **self.scores}
        return found.positions

    def _pinned(self, rules: Sequence[Rule], n_shown: int) -> dict[int, int]:
        """Position in the list to position in the catalogue, of the pinned items that may be shown."""
        wanted = {int(rule.position or 0) - n_shown: str(rule.pin) for rule in rules}
        places = self._catalogue.positions(list(wanted.values())).tolist()
        missing = [each for each, place in zip(wanted.values(), places, strict=True) if place not in self.scores]
        if missing:
            self._retrieve_pinned(missing)
        for item_id, place in zip(wanted.values(), places, strict=True):
            if place >= 0 and place not in self.scores and self._may_show_unranked(item_id, place):
                self.scores[place] = 0.0
        found = zip(wanted, places, strict=True)
        return {at: place for at, place in sorted(found) if at > 0 and place in self.scores}

    def _may_show_unranked(self, item_id: str, place: int) -> bool:
        """Whether an item that has no score, because nothing is known of it, may be pinned all the same."""
        wish, catalogue = self._wish, self._catalogue
        if item_id in wish.excluded or (wish.candidates is not None and item_id not in wish.candidates):
            return False
        clauses = Filter.parse(wish.filters)
        return (
            catalogue.is_unranked(place)
            and all(any(catalogue.having([place], token)[0] for token in each) for each in clauses.required.values())
            and not any(catalogue.having([place], token)[0] for token in clauses.forbidden)
        )

    def _retrieve_pinned(self, item_ids: Iterable[str]) -> None:
        wish = self._wish
        asked = item_ids if wish.candidates is None else set(item_ids) & set(wish.candidates)
        names = tuple(sorted(asked))
        if names:
            self._chosen(wish._replace(k=len(names), candidates=names, narrowed=()))
