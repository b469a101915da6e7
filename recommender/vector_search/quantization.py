"""Scalar quantisation: 8-bit codes of vectors, whose error bounds rule out most rows unread.

Scalar quantisation, as vector databases have it, with one difference: the codes only bound a score. What may be among
the best is scored exactly, so that the answer has the bits of an exact pass over the whole block, for a quarter of
the bytes read.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recommender.ids import Arrays, with_prefix, without_prefix
from recommender.vector_search import kernel

CODED_ABOVE = 5_000
"""Rows from which on bounding and then scoring few costs less than scoring all (``benchmarks/search/kernel.py``)."""
NARROWEST, WIDEST = 16, 1024
"""Widths: below, what stands beside the codes is as long as they are; above, sums of products have no float32."""
LOWEST_BIAS = np.finfo(np.float32).min
"""Of rows that only fill a step."""
_COMPONENTS = 4
"""Bytes that are multiplied and added in one lane."""
_LARGEST = 1e30
"""So that no bound overflows, nor falls to where `kernel.NEVER` is."""
_CHUNK = 1 << 16
"""Rows that are coded at once."""


@dataclass(frozen=True)
class QuantizedBlock:
    """Codes of a block of n rows and d components, padded to N = 64 · ceil(n / 64) rows that never pass.

    A row is ``scale · (codes - 128)``, up to half a scale a component.

    Parameters
    ----------
    codes
        int32 of shape (N, ceil(d / 4)): bytes in the order in which a pass reads them. Sixteen rows stand together:
        components 0 to 3 of each, then 4 to 7 of each, and so on.
    scales, biases
        float32 of shape (N,); biases of shape (b, N) are each user's own, see `with_biases`.
    limits
        float32 of shape (4,): the largest length of a row of codes, of what coding it has lost in scales, the
        largest scale and the largest amount of a bias.
    """

    codes: NDArray[np.int32]
    scales: NDArray[np.float32]
    biases: NDArray[np.float32]
    limits: NDArray[np.float32]

    @property
    def arrays(self) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """As `kernel.scan_codes` takes them."""
        return self.codes, self.scales, self.biases, self.limits

    def with_biases(self, biases: NDArray[np.float32], largest: float) -> Self:
        """Codes of the same vectors with other biases.

        Parameters
        ----------
        biases
            float32 of shape (b, N), `LOWEST_BIAS` in what pads them.
        largest
            At least the largest amount of one that does not.
        """
        limits = self.limits.copy()
        limits[3] = np.nextafter(np.float32(largest), np.float32(np.inf))
        return replace(self, biases=biases, limits=limits)

    def of_users(self, some: slice) -> Self:
        """The same for some of the users who have biases of their own."""
        return self if self.biases.ndim == 1 else replace(self, biases=self.biases[some])

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Arrays for `from_arrays`."""
        return with_prefix("codes", {each.name: getattr(self, each.name) for each in fields(self)})

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self | None:
        """Codes over the same memory as `arrays`.

        None where there are none, as in what was published without, and on a processor that reads the block in no
        more time than the codes, having no instruction for them.
        """
        own = without_prefix("codes", arrays)
        return cls(**own) if own and kernel.has_byte_products() else None  # type: ignore[arg-type]


def encode(
    vectors: NDArray[np.float32], biases: NDArray[np.float32], above: int = CODED_ABOVE
) -> QuantizedBlock | None:
    """Codes of a block.

    Parameters
    ----------
    vectors, biases
        float32 of shape (n, d) and (n,).
    above
        Rows that are worth it.

    Returns
    -------
    None for a block that is too small, too narrow or too wide, or has a value that is no finite number below 1e30.
    """
    n, width = vectors.shape
    if n < max(1, above) or not NARROWEST <= width <= WIDEST:
        return None
    if not all(bool((np.abs(part) < _LARGEST).all()) for part in (biases, *_chunks(vectors))):
        return None
    padded, words = padded_length(n), -(-width // _COMPONENTS)
    coded = np.full((padded, words * _COMPONENTS), 128, np.uint8)
    scales, most = np.zeros(padded, np.float32), np.full(padded, LOWEST_BIAS, np.float32)
    most[:n] = biases
    longest = roughest = 0.0
    for number, part in enumerate(_chunks(vectors)):
        own = slice(number * _CHUNK, number * _CHUNK + len(part))
        scales[own] = scale = _scales(part)
        steps = np.clip(np.rint(part / scale[:, None]), -127, 127)
        coded[own, :width] = steps + 128
        longest = max(longest, _longest(steps))
        roughest = max(roughest, _longest(part / scale[:, None] - steps))
    limits = np.array([longest, roughest, scales.max(), np.abs(biases).max()], np.float32)
    return QuantizedBlock(_interleaved(coded), scales, most, np.nextafter(limits, np.float32(np.inf)))


def padded_length(n: int) -> int:
    """Rows of a block of n with those that fill its last step."""
    return -(-n // kernel.CODED_STEP) * kernel.CODED_STEP


def _chunks(vectors: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [vectors[begin : begin + _CHUNK] for begin in range(0, len(vectors), _CHUNK)]


def _scales(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest amount of a row by 127, and 1 for a row of zeros."""
    scales = np.abs(vectors).max(axis=1) / np.float32(127)
    return np.where(scales > 0, scales, np.float32(1))


def _longest(rows: NDArray[np.float32]) -> float:
    """Largest length of a row, rounded up."""
    return float(np.linalg.norm(rows.astype(np.float64), axis=1).max()) * (1 + 1e-6)


def _interleaved(coded: NDArray[np.uint8]) -> NDArray[np.int32]:
    n, width = coded.shape
    groups = coded.reshape(n // kernel.CODED_LANES, kernel.CODED_LANES, width // _COMPONENTS, _COMPONENTS)
    return np.ascontiguousarray(groups.transpose(0, 2, 1, 3)).view(np.int32).reshape(n, width // _COMPONENTS)
