"""Vocabulary: the names and values of features that items have, for filters and boosts that speak of others."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from lightfm_serve.records.nearest import LONGEST_SHOWN, nearest
from recommender.feature_space import clean_token
from recommender.ids import UNKNOWN
from recommender.serving.catalogue import Catalogue

MOST_REMEMBERED = 1_000
"""Misspelt names whose nearest is kept."""


class Vocabulary:
    """What the items of a catalogue have, as filters write it.

    Parameters
    ----------
    catalogue
        It may grow; what was said of a name is looked up again.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._nearest: dict[str, str | None] = {}

    def warnings(self, tokens: Iterable[str]) -> list[str]:
        """What is to be said of tokens that no item has: the nearest name, or the same value in other letters.

        Parameters
        ----------
        tokens
            ``name:value``, perhaps of a filter with its minus.
        """
        bare = dict.fromkeys(clean_token(token.removeprefix("-")) for token in tokens)
        return [self._warning(token) for token in bare if not self._has(token)]

    def _warning(self, token: str) -> str:
        name, _, value = token.partition(":")
        if not self._has_name(name):
            meant = self._nearest_name(name)
            hint = f"; did you mean {meant!r}?" if meant else ""
            return f"no item has a feature {name[:LONGEST_SHOWN]!r}{hint}"
        spelt = (f"{name}:{other}" for other in (value.lower(), value.capitalize(), value.title(), value.upper()))
        hint = next((f"; did you mean {other!r}?" for other in spelt if self._has(other)), "")
        return f"no item has {token[:LONGEST_SHOWN]!r}{hint}"

    def _has(self, token: str) -> bool:
        catalogue = self._catalogue
        return catalogue.snapshot.filter_tokens.index_of(token) != UNKNOWN or len(catalogue.delta.having(token)) > 0

    def _has_name(self, name: str) -> bool:
        beginning = f"{name}:"
        return name in self._names or any(
            token.startswith(beginning) for words in list(self._catalogue.delta.tokens) for token in words
        )

    def _nearest_name(self, name: str) -> str | None:
        if name not in self._nearest:
            if len(self._nearest) >= MOST_REMEMBERED:
                self._nearest.clear()
            self._nearest[name] = nearest(name, self._names)
        return self._nearest[name]

    @cached_property
    def _names(self) -> frozenset[str]:
        # read at the first token that no item has: most services never need it
        return frozenset(token.partition(":")[0] for token in self._catalogue.snapshot.filter_tokens)
