"""Raw scores and SHAP values looked up beside LightGBM's own, in turns: `python -m benchmarks.tree_tables`.

For boosters of the size that serves, on made-up numbers. Before each call the processor's caches are filled with
other things, as they are when a request has waited for PostgreSQL.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median

import lightgbm
import numpy as np
from numpy.typing import NDArray

from common import cli
from common.score_tables import ScoreTables
from common.shap_tables import ShapTables
from training.parameters import Parameters

COLUMNS, FILMS, ROUNDS = 96, 5000, 350
SIZES = (1, 34, 100)
OTHER_THINGS = np.ones(4_000_000)

Floats = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=60)
    turns = parser.parse_args().turns
    films = np.random.default_rng(7).normal(size=(FILMS, COLUMNS))
    boosters = [grow(films, threshold) for threshold in (-2.0, -1.0, 0.0)]
    started = time.perf_counter()
    scores, values = ScoreTables.of(boosters), ShapTables.of(boosters[-1])
    assert scores is not None and values is not None  # noqa: S101, PT018 - the recipe's trees are small
    megabytes = (scores.scores.nbytes + values.values.nbytes) / 1e6
    print(f"{len(scores.boosters)} trees; tables of {megabytes:.1f} MB made in {time.perf_counter() - started:.2f} s")
    for size in SIZES:
        rows = films[:size]
        their_scores = partial(predict_raw, boosters, rows)
        their_values = partial(boosters[-1].predict, rows, pred_contrib=True, num_threads=1)
        report(f"raw scores of 3 boosters, {size:3} rows", their_scores, partial(scores.of_rows, rows), turns)
        report(f"SHAP values of 1 booster, {size:3} rows", their_values, partial(values.of_rows, rows), turns)


def grow(films: Floats, threshold: float) -> lightgbm.Booster:
    """A booster by the recipe's parameters, of numbers in which there is something to learn."""
    noise = np.random.default_rng(8).normal(size=len(films))
    passes = (films[:, :20] @ np.linspace(1.0, 0.1, 20) + 2.0 * noise > threshold).astype(float)
    return lightgbm.train(Parameters().for_lightgbm(), lightgbm.Dataset(films, passes), num_boost_round=ROUNDS)


def predict_raw(boosters: list[lightgbm.Booster], rows: Floats) -> None:
    """As the server would without the tables."""
    for booster in boosters:
        booster.predict(rows, raw_score=True, num_threads=1)


def report(what: str, theirs: Callable[[], object], ours: Callable[[], object], turns: int) -> None:
    """Print p50 of both."""
    times = measure_in_turns({"LightGBM": theirs, "looked up": ours}, turns)
    said = ", ".join(f"{name} {p50:6.2f} ms" for name, p50 in times.items())
    print(f"{what}: {said}, {times['LightGBM'] / times['looked up']:4.1f} times as fast")


def measure_in_turns(calls: Mapping[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """p50 of each in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            OTHER_THINGS.sum()
            started = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - started) * 1000)
    return {name: median(measured) for name, measured in times.items()}


if __name__ == "__main__":
    cli.run(main)
