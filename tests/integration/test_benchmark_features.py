"""`make bench-features` runs, and gives every number that the project's goals are about."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.features.__main__ import Scale, measure
from benchmarks.features.report import summary, write_json, write_page

# Feast's own store reads the schema of an SQL entity frame through pandas
pytestmark = pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy:UserWarning")

TINY = Scale(
    labels=(200, 1_000),
    feast_labels=1_000,
    skewed_labels=1_000,
    keys=2_000,
    feast_keys=500,
    read_rounds=1,
    live_reads=40,
    sample_films=60,
)
NEEDS_A_FULL_RUN = {"pit_100k_zipf_speedup_vs_feast", "pit_1m_zipf_seconds", "pit_1m_zipf_vs_duckdb"}


def test_the_whole_command_at_tiny_sizes(postgres_server: str, tmp_path: Path) -> None:
    results = measure(postgres_server, TINY)
    write_json(results, tmp_path / "features.json", quick=True)
    write_page(results, tmp_path / "features.md")

    numbers = json.loads((tmp_path / "features.json").read_text())
    measured = {name: value for name, value in summary(results).items() if name not in NEEDS_A_FULL_RUN}
    assert {name: numbers[name] for name in measured} == measured
    assert all(value is not None and math.isfinite(value) and value != 0 for value in measured.values())
    joins = {(join["engine"], join["rows"], join["zipf_exponent"]) for join in numbers["joins"]}
    assert joins == {
        *((engine, rows, 0.6) for engine in ("feast", "ours", "duckdb") for rows in (200, 1_000)),
        ("ours", 1_000, 1.1),
        ("duckdb", 1_000, 1.1),
    }
    assert "| 1,000 | 6,000 | 1.1 | feast_stores |" in (tmp_path / "features.md").read_text()
    assert (tmp_path / "features.png").stat().st_size > 0
