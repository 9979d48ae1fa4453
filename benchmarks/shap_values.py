"""SHAP values looked up beside LightGBM's own, in turns: `python -m benchmarks.shap_values`.

For a booster of the size that serves, on made-up numbers.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import lightgbm
import numpy as np
from numpy.typing import NDArray

from common import cli
from common.shap_tables import ShapTables
from training.parameters import Parameters

COLUMNS, FILMS, ROUNDS = 96, 5000, 350
SIZES = (1, 34, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=60)
    turns = parser.parse_args().turns
    films = np.random.default_rng(7).normal(size=(FILMS, COLUMNS))
    booster = grow(films)
    started = time.perf_counter()
    tables = ShapTables.of(booster)
    assert tables is not None  # noqa: S101 - the recipe's trees are small
    print(f"{booster.num_trees()} trees; tables of {tables.values.nbytes / 1e6:.1f} MB", end=" ")
    print(f"made in {time.perf_counter() - started:.2f} s")
    for size in SIZES:
        rows = films[:size]
        theirs, ours = measure_in_turns(
            partial(booster.predict, rows, pred_contrib=True, num_threads=1),
            partial(tables.of_rows, rows),
            turns,
        )
        print(
            f"{size:4} rows: LightGBM {theirs:6.2f} ms, looked up {ours:5.2f} ms, {theirs / ours:4.1f} times as fast"
        )


def grow(films: NDArray[np.float64]) -> lightgbm.Booster:
    """A booster by the recipe's parameters, of numbers in which there is something to learn."""
    noise = np.random.default_rng(8).normal(size=len(films))
    passes = (films[:, :20] @ np.linspace(1.0, 0.1, 20) + 2.0 * noise > 0.0).astype(float)
    return lightgbm.train(Parameters().for_lightgbm(), lightgbm.Dataset(films, passes), num_boost_round=ROUNDS)


def measure_in_turns(first: Callable[[], object], second: Callable[[], object], turns: int) -> tuple[float, float]:
    """p50 of both in milliseconds."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(turns):
        for call, measured in zip((first, second), times, strict=True):
            started = time.perf_counter()
            call()
            measured.append((time.perf_counter() - started) * 1000)
    return median(times[0]), median(times[1])


if __name__ == "__main__":
    cli.run(main)
