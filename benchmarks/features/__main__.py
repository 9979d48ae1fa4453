"""`python -m benchmarks.features [--quick]`: our feature stores beside Feast's own and DuckDB, in one run.

Works in a database of its own on the configured server and drops it at the end. The full run takes about five
minutes and 3 GB of disk, most of it for Feast's own store. `--quick` measures small sizes only and leaves the page
and the plot in docs/ alone.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.features.live_views import measure_live_views
from benchmarks.features.online import measure_materialization, measure_reads
from benchmarks.features.point_in_time import measure_join
from benchmarks.features.report import NUMBERS, Results, as_markdown, summary, write_json, write_page
from benchmarks.features.workload import (
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
FEAST_MATERIALIZES = 20_000  # keys; at five thousand a second a million would take minutes


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
        results = measure(settings.database_url, quick=quick)
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


def measure(server_url: str, *, quick: bool) -> Results:
    results = Results()
    with benchmark_database(server_url) as url, tempfile.TemporaryDirectory() as folder:
        stores = {"feast": feasts_own_store(url, Path(folder)), "ours": our_store(url, Path(folder))}
        for size in (1_000, 10_000) if quick else (10_000, 100_000, 1_000_000):
            workload = Workload(size, VERSIONS)
            workload.create(url)
            for engine in ("ours", "duckdb", "feast"):
                if engine == "feast" and size > 100_000:
                    continue  # does not finish: more than 25 GB of temporary files
                runs = 1 if engine == "feast" else 3
                results.joins.append(measure_join(engine, stores.get(engine), workload, url, runs=runs))
        keys = 50_000 if quick else 1_000_000
        for engine, count in (("feast", FEAST_MATERIALIZES // (4 if quick else 1)), ("ours", keys)):
            view = create_latest_table(url, f"latest_{engine}", count)
            results.materializations.append(measure_materialization(engine, stores[engine], view, count, url, runs=2))
        view = create_latest_table(url, "served", FEAST_MATERIALIZES)
        for engine, store in stores.items():
            measure_materialization(engine, store, view, FEAST_MATERIALIZES, url, runs=1)
        results.reads = measure_reads(stores, view, FEAST_MATERIALIZES, (1, 30, 100), rounds=1 if quick else 8)
        results.live_view_ms = measure_live_views(url, rounds=200 if quick else 1000)
    return results


if __name__ == "__main__":
    cli.run(main)
