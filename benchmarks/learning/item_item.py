"""Item-item matrix, low-pass vectors and their mixture: quality and cost on a fixed split, or cost on made-up data.

``python -m benchmarks.learning.item_item --train gowalla_train.npz --test gowalla_test.npz`` prints recall@k and
ndcg@k of each part with the defaults and as tuned on a tenth of the training interactions, which the mixture is
learned on as well. Without files it fits made-up interactions of ``--items`` items with Zipf's frequencies, and
prints seconds and bytes.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from scipy import sparse

from benchmarks.harness import report
from recommender.evaluation import evaluate
from recommender.models.item_item import ItemItemSettings, item_item_matrix
from recommender.models.low_pass import fit_low_pass
from recommender.models.mixture import Mixture, Score, learn_mixture, scale_of
from recommender.training.item_item_tuning import tune_item_item

SEED = 0
HELD_OUT = 0.1
SCALE_USERS = 300
Result = TypeVar("Result")
Row = dict[str, Any]


def timed(work: Callable[[], Result]) -> tuple[Result, Row]:
    """What comes of it, and seconds on the clock and of the processor."""
    at, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, {"fit_s": round(time.perf_counter() - at, 1), "cpu_s": round(time.process_time() - cpu, 1)}


def parts_of(train: sparse.csr_matrix, how: ItemItemSettings, args: argparse.Namespace) -> dict[str, tuple[Score, Row]]:
    """Fitted parts, each as a function that scores users, and what it cost."""
    matrix, matrix_cost = timed(lambda: item_item_matrix(train, how, args.threads))
    filtered, filter_cost = timed(lambda: fit_low_pass(train, args.components, SEED))
    return {
        "item-item": (lambda users: (train[users] @ matrix).toarray(), {**matrix_cost, "weights": matrix.nnz}),
        "low-pass": (lambda users: filtered.users(train[users]) @ filtered.items.T, filter_cost),
    }


def mixed(mixture: Mixture, parts: dict[str, tuple[Score, Row]], train: sparse.csr_matrix) -> Score:
    """Sum of the parts."""
    sample = np.flatnonzero(np.diff(train.indptr))[:: max(1, train.shape[0] // SCALE_USERS)].astype(np.int32)
    scales = np.array([scale_of(score(sample)) for score, _ in parts.values()], np.float32)

    def score(users: Any) -> Any:
        weights = mixture.of_lengths(np.diff(train.indptr)[users], scales)
        return sum(weights[:, n, None] * part(users) for n, (part, _) in enumerate(parts.values()))

    return score


def halves(matrix: sparse.csr_matrix) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Most of the interactions, and those to tune on."""
    pairs = matrix.tocoo()
    out = np.random.default_rng(SEED).random(pairs.nnz) < HELD_OUT
    halves = ((pairs.data[side], (pairs.row[side], pairs.col[side])) for side in (~out, out))
    kept, held_out = (sparse.csr_matrix(half, matrix.shape) for half in halves)
    return kept, held_out


def judged(name: str, score: Score, train: sparse.csr_matrix, test: sparse.csr_matrix, k: int) -> Row:
    """Row of the table."""
    result = evaluate(score, train, test, k=k)
    means = result.means
    return {"part": name, "users": len(result.users), **{m: round(means[m], 4) for m in (f"recall@{k}", f"ndcg@{k}")}}


def on_split(args: argparse.Namespace) -> list[Row]:
    """Quality of each part."""
    train, test = (sparse.csr_matrix(sparse.load_npz(path), dtype=np.float32) for path in (args.train, args.test))
    users = np.flatnonzero(np.diff(test.indptr))
    chosen = np.random.default_rng(SEED).permutation(users)[: args.users or len(users)]
    keep = sparse.diags_array(np.isin(np.arange(len(test.indptr) - 1), chosen).astype(np.float32))
    test = sparse.csr_matrix(keep @ test)
    test.eliminate_zeros()
    kept, held_out = halves(train)
    start = ItemItemSettings()
    tuned, cost = timed(lambda: tune_item_item(kept, held_out, args.tune_s, k=args.k, num_threads=args.threads))
    found = {"penalty": tuned.settings.penalty, "length_exponent": tuned.settings.length_exponent}
    rows: list[Row] = [{"part": "tuning", **cost, "tried": tuned.n_tried, **found}]
    rows[0]["neighbours"] = tuned.settings.neighbours
    for how, name in {start: "defaults", tuned.settings: "tuned" if tuned.settings != start else "defaults"}.items():
        held = {part: score for part, (score, _) in parts_of(kept, how, args).items()}
        mixture, cost = timed(lambda held=held: learn_mixture(held, kept, held_out, k=args.k))  # type: ignore[misc]
        parts = parts_of(train, how, args)
        for part, (score, fitted) in parts.items():
            rows.append({**judged(f"{part}, {name}", score, train, test, args.k), **fitted})
        row = judged(f"mixture, {name}", mixed(mixture, parts, train), train, test, args.k)
        rows.append({**row, **cost, "weights": [each.tolist() for each in mixture.weights]})
    return rows


def on_made_up(args: argparse.Namespace) -> list[Row]:
    """Seconds and bytes of a fit."""
    chance = np.random.default_rng(SEED)
    shares = 1 / (np.arange(args.items) + 10.0)
    items = chance.choice(args.items, args.interactions, p=shares / shares.sum())
    # half of the interactions are with items of the user's own neighbourhood, and some users have far more than others
    users = (chance.random(args.interactions) ** 2 * args.users_made).astype(np.int64)
    near = (users * 7919 + chance.integers(0, 300, args.interactions)) % args.items
    items = np.where(chance.random(args.interactions) < 0.5, near, items)
    shape = (args.users_made, args.items)
    matrix = sparse.csr_matrix((np.ones(args.interactions, np.float32), (users, items)), shape)
    fitted, cost = timed(lambda: item_item_matrix(matrix, ItemItemSettings(neighbours=args.neighbours), args.threads))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return [{"shape": shape, "interactions": matrix.nnz, **cost, "weights": fitted.nnz, "peak_mib": peak // 1024}]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", help="users by items, as scipy.sparse.save_npz writes it")
    parser.add_argument("--test", help="what is to be found, of the same shape")
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--users", type=int, default=0, help="judged users, chosen at random; 0 for all")
    parser.add_argument("--components", type=int, default=128)
    parser.add_argument("--tune-s", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users-made", type=int, default=100_000)
    parser.add_argument("--interactions", type=int, default=1_000_000)
    parser.add_argument("--neighbours", type=int, default=100)
    arguments = parser.parse_args()
    report.write("item_item", SEED, on_split(arguments) if arguments.train else on_made_up(arguments))
