"""The exact pass against numpy, implicit, faiss and reading the block once; top 100, one thread, best of some."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmarks.harness import report
from recommender.vector_search.exact import NO_ROWS, Users, best_rows
from recommender.vector_search.quantization import encode

SEED = 0
SIZES, WIDTHS, BATCHES, TOP = (1_700, 10_000, 100_000, 1_000_000), (32, 64, 128), (1, 64), 100
SECONDS = 0.5

Vectors = NDArray[np.float32]


@njit(nogil=True)
def _read(block: Any) -> Any:
    """Sum of a block seen as integers, which unlike floats the compiler may add in any order: eight at a time."""
    total = np.int64(0)
    for place in range(len(block)):
        total += block[place]
    return total


def read_ms(vectors: Vectors) -> float:
    """Time to read a block once."""
    words = vectors.ravel().view(np.int64)
    return report.best_ms(lambda: _read(words), SECONDS)


def ours(vectors: Vectors, biases: Vectors, users: Vectors) -> Callable[[], Any]:
    """`recommender.vector_search.exact.best_rows`."""
    asked = Users(users, np.zeros(len(users), np.float32))
    masked, excluded = np.zeros(len(vectors), np.bool_), [NO_ROWS] * len(users)
    return lambda: best_rows(vectors, biases, asked, [TOP] * len(users), masked=masked, excluded=excluded)


def ours_by_codes(vectors: Vectors, biases: Vectors, users: Vectors) -> Callable[[], Any]:
    """The same over codes."""
    asked, codes = Users(users, np.zeros(len(users), np.float32)), encode(vectors, biases, above=1)
    masked, excluded = np.zeros(len(vectors), np.bool_), [NO_ROWS] * len(users)
    return lambda: best_rows(vectors, biases, asked, [TOP] * len(users), masked=masked, excluded=excluded, codes=codes)


def by_numpy(vectors: Vectors, biases: Vectors, users: Vectors) -> Callable[[], Any]:
    """Matrix product, `argpartition`, sort of what is left; users in turn, so that memory stays bounded."""

    def one(user: Vectors) -> Any:
        scores = vectors @ user + biases
        best = np.argpartition(scores, -TOP)[-TOP:]
        return best[np.argsort(-scores[best])]

    return lambda: [one(user) for user in users]


def by_implicit(vectors: Vectors, biases: Vectors, users: Vectors) -> Callable[[], Any] | None:
    """`implicit.cpu.topk`, the bias as one more column."""
    if find_spec("implicit") is None:
        return None
    from implicit.cpu.topk import topk  # noqa: PLC0415  # optional

    items, asked = _wide(vectors, biases), _wide(users, np.ones(len(users), np.float32))
    return lambda: topk(items, asked, TOP, num_threads=1)


def by_faiss(vectors: Vectors, biases: Vectors, users: Vectors) -> Callable[[], Any] | None:
    """Flat index, the bias as one more column."""
    if find_spec("faiss") is None:
        return None
    import faiss  # noqa: PLC0415  # optional

    faiss.omp_set_num_threads(1)
    index, asked = faiss.IndexFlatIP(vectors.shape[1] + 1), _wide(users, np.ones(len(users), np.float32))
    index.add(_wide(vectors, biases))
    return lambda: index.search(asked, TOP)


OTHERS = {"numpy": by_numpy, "implicit": by_implicit, "faiss": by_faiss}


def measure(n_items: int, width: int) -> list[dict[str, Any]]:
    """All ways for one user and for many; times are of one user."""
    chance = np.random.default_rng(SEED)
    vectors, biases = chance.standard_normal((n_items, width), np.float32), chance.standard_normal(n_items, np.float32)
    read = read_ms(vectors)
    rows = []
    for n_users in BATCHES:
        users = chance.standard_normal((n_users, width), np.float32)
        mine = report.best_ms(ours(vectors, biases, users), SECONDS, 3)
        coded = report.best_ms(ours_by_codes(vectors, biases, users), SECONDS, 3)
        row = {"items": n_items, "width": width, "users": n_users}
        row |= {"coded_ms": round(coded / n_users, 4), "ours_ms": round(mine / n_users, 4)}
        for name, way in OTHERS.items():
            call = way(vectors, biases, users)
            if call is not None:
                row[f"{name}_ms"] = round(report.best_ms(call, SECONDS, 3) / n_users, 4)
        row |= {"read_ms": round(read, 4), "read_gb_s": round(vectors.nbytes / read / 1e6, 1)}
        to_read = {"coded_to_read": round(coded / read, 2), "pass_to_read": round(mine / read, 2)}
        rows.append(row | to_read if n_users == 1 else row)
    return rows


def _wide(vectors: Vectors, last: Vectors) -> Vectors:
    return np.ascontiguousarray(np.column_stack([vectors, last]), np.float32)


def main() -> None:
    """Measure every size and width."""
    for name in ("implicit", "faiss"):
        if find_spec(name) is None:
            print(f"{name} is not installed and is left out", file=sys.stderr)
    sizes = [int(argument) for argument in sys.argv[1:]] or SIZES
    rows = [row for n_items in sizes for width in WIDTHS for row in measure(n_items, width)]
    report.write("kernel", SEED, rows)


if __name__ == "__main__":
    main()
