"""`python -m benchmarks.features [--quick]`: our feature stores beside Feast's own and DuckDB, in one run.

Works in a database of its own on the configured server and drops it at the end. The full run takes about five
minutes and 3 GB of disk, most of it for Feast's own store. `--quick` measures small sizes only and leaves the page
and the plot in docs/ alone.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.features.live_view import measure_live_view
from benchmarks.features.online import measure_materialization, measure_reads
from benchmarks.features.point_in_time import measure_join
from benchmarks.features.report import NUMBERS, Results, as_markdown, summary, write_json, write_page
from benchmarks.features.workload import (
    HEAVY_ZIPF_EXPONENT,
    ZIPF_EXPONENT,
    Workload,
    benchmark_database,
    create_latest_table,
    feasts_own_store,
    our_store,
)
from common import cli
from common.embedded_postgres import EmbeddedPostgres
from common.settings import load_settings

VERSIONS = 3


@dataclass(frozen=True)
class Scale:
    """How much a run measures. Feast's store takes part up to `feast_labels`, and with fewer keys."""

    labels: tuple[int, ...]
    feast_labels: int
    skewed_labels: int
    keys: int
    feast_keys: int
    read_rounds: int
    live_reads: int
    sample_films: int


FULL = Scale(
    labels=(10_000, 100_000, 1_000_000),
    feast_labels=100_000,  # a million does not finish: more than 25 GB of temporary files
    skewed_labels=100_000,
    keys=1_000_000,
    feast_keys=20_000,  # at five thousand a second a million would take minutes
    read_rounds=20,
    live_reads=1000,
    sample_films=2_000,
)
QUICK = Scale(
    labels=(1_000, 10_000),
    feast_labels=10_000,
    skewed_labels=10_000,
    keys=50_000,
    feast_keys=5_000,
    read_rounds=1,
    live_reads=200,
    sample_films=500,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, half a minute")
    quick = parser.parse_args().quick
    settings = load_settings()
    embedded = None
    if settings.db_connection_string is None:
        embedded = EmbeddedPostgres(settings.state_dir, settings.embedded_db_port)
        already_running = embedded.is_running()
        embedded.start()
    try:
        results = measure(settings.database_url, QUICK if quick else FULL)
    finally:
        if embedded and not already_running:
            embedded.stop()
    write_json(results, quick=quick)
    if not quick:
        write_page(results)
    print(as_markdown(results))
    for name, value in summary(results).items():
        print(f"{name} = {'not measured' if value is None else format(value, '.3g')}")
    print(f"written: {NUMBERS}")


def measure(server_url: str, scale: Scale) -> Results:
    """Everything, in a database of its own; what depends on most others comes first, so that it fails early."""
    results = Results()
    with benchmark_database(server_url) as url, tempfile.TemporaryDirectory() as folder:
        results.live_view_ms = measure_live_view(url, rounds=scale.live_reads, sample_films=scale.sample_films)
        stores = {"feast": feasts_own_store(url, Path(folder)), "ours": our_store(url, Path(folder))}
        view = create_latest_table(url, "served", scale.feast_keys)
        for engine, store in stores.items():
            measure_materialization(engine, store, view, scale.feast_keys, url, runs=1)
        results.reads = measure_reads(stores, view, scale.feast_keys, (1, 30, 100), rounds=scale.read_rounds)
        for engine, keys in (("feast", scale.feast_keys), ("ours", scale.keys)):
            view = create_latest_table(url, f"latest_{engine}", keys)
            results.materializations.append(measure_materialization(engine, stores[engine], view, keys, url, runs=2))
        for workload in workloads(scale):
            workload.create(url)
            for engine in ("ours", "duckdb", "feast"):
                is_usual = workload.zipf_exponent == ZIPF_EXPONENT
                if engine != "feast" or (is_usual and workload.rows <= scale.feast_labels):
                    runs = 1 if engine == "feast" else 3
                    results.joins.append(measure_join(engine, stores.get(engine), workload, url, runs=runs))
    return results


def workloads(scale: Scale) -> list[Workload]:
    usual = [Workload(labels, VERSIONS) for labels in scale.labels]
    return [*usual, Workload(scale.skewed_labels, VERSIONS, HEAVY_ZIPF_EXPONENT)]


if __name__ == "__main__":
    cli.run(main)
