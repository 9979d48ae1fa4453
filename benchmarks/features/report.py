"""The numbers as JSON for the checks, as a page for readers, and as a plot."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt

from benchmarks.features.online import MaterializationResult
from benchmarks.features.point_in_time import JoinResult
from benchmarks.features.workload import HEAVY_ZIPF_EXPONENT, ZIPF_EXPONENT

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "benchmarks" / "features.md"
NUMBERS = ROOT / "reports" / "features.json"
NAMES = {"feast": "Feast's Postgres store", "ours": "feast_stores", "duckdb": "DuckDB ASOF, load included"}


@dataclass
class Results:
    """Everything one run measured."""

    joins: list[JoinResult] = field(default_factory=list)
    materializations: list[MaterializationResult] = field(default_factory=list)
    reads: dict[str, dict[int, float]] = field(default_factory=dict)
    live_view_ms: tuple[float, float] | None = None

    def join(self, engine: str, rows: int) -> JoinResult | None:
        return next((join for join in self.usual_joins if (join.engine, join.rows) == (engine, rows)), None)

    @property
    def usual_joins(self) -> list[JoinResult]:
        """Those whose keys have the usual skew; the numbers that are compared come from them."""
        return [join for join in self.joins if join.zipf_exponent == ZIPF_EXPONENT]


def summary(results: Results) -> dict[str, float | None]:
    """The numbers that the project's goals are about; None where the run did not measure one."""
    sizes = sorted({join.rows for join in results.usual_joins if join.engine == "ours"})
    smallest, largest = (results.join("ours", size) for size in (sizes[0], sizes[-1]))
    million, by_duckdb = results.join("ours", 1_000_000), results.join("duckdb", 1_000_000)
    rates = {result.engine: result.keys_per_second for result in results.materializations}
    reads = {engine: by_size[30] for engine, by_size in results.reads.items()}
    exponent = None
    if smallest and largest and largest.rows > smallest.rows:
        exponent = math.log(largest.seconds / smallest.seconds) / math.log(largest.rows / smallest.rows)
    return {
        "pit_100k_zipf_speedup_vs_feast": _ratio(results.join("feast", 100_000), results.join("ours", 100_000)),
        "pit_1m_zipf_seconds": million.seconds if million else None,
        "pit_1m_zipf_vs_duckdb": _ratio(million, by_duckdb),
        "pit_exponent": exponent,
        "materialize_speedup_vs_feast": rates["ours"] / rates["feast"],
        "online_read_30_speedup_vs_feast": reads["feast"] / reads["ours"],
        "live_view_p50_ms": results.live_view_ms[0] if results.live_view_ms else None,
        "live_view_p99_ms": results.live_view_ms[1] if results.live_view_ms else None,
    }


def _ratio(first: JoinResult | None, second: JoinResult | None) -> float | None:
    return first.seconds / second.seconds if first and second else None


def write_json(results: Results, path: Path = NUMBERS, *, quick: bool) -> None:
    path.parent.mkdir(exist_ok=True)
    detail = {
        "quick": quick,
        "joins": [asdict(join) for join in results.joins],
        "materializations": [asdict(result) for result in results.materializations],
        "online_read_p50_ms": results.reads,
    }
    path.write_text(json.dumps({**summary(results), **detail}, indent=2) + "\n")


def as_markdown(results: Results) -> str:
    """The page for readers."""
    lines = [
        "# Feature stores, measured",
        "",
        f"Written by `make bench-features` on {datetime.now(UTC):%Y-%m-%d}; everything in one run on one machine.",
        "",
        *_describe_joins(results.joins),
        "",
        *_describe_materializations(results.materializations),
        "",
        "## Online reads",
        "",
        "`get_online_features(...).to_dict()`, six features, p50 in milliseconds, the best of several rounds.",
        "",
        *_reads_table(results.reads),
    ]
    if results.live_view_ms:
        p50, p99 = results.live_view_ms
        lines += [
            "",
            "## Live view",
            "",
            "One film with 100 cast and 200 crew entries, the features of all families, history from the track",
            f"records of its people: p50 {p50:.2f} ms, p99 {p99:.2f} ms.",
        ]
    return "\n".join(lines) + "\n"


def _describe_joins(joins: Sequence[JoinResult]) -> list[str]:
    return [
        "## Point-in-time join",
        "",
        "Two views, twelve features, zipf-distributed keys, three feature rows per label; from an SQL entity frame",
        "to a pandas frame, best of three runs (Feast's store: one). The memory is the growth of our process, the",
        "temporary files are PostgreSQL's. What the exponents mean stands in",
        "[decision 0030](../decisions/0030-point-in-time-join.md). Feast's own store is not run at a million labels,",
        f"which it does not finish, nor at exponent {HEAVY_ZIPF_EXPONENT}, with 70 times as many pairs to sort.",
        "",
        "| labels | feature rows | zipf exponent | | seconds | memory, MB | temporary files, MB |",
        "| ---: | ---: | ---: | --- | ---: | ---: | ---: |",
        *(
            f"| {join.rows:,} | {join.rows * join.versions * 2:,} | {join.zipf_exponent} | {NAMES[join.engine]} "
            f"| {join.seconds:.2f} | {join.memory_mb:.0f} | {join.temporary_mb:.0f} |"
            for join in sorted(joins, key=_place)
        ),
        "",
        "![Seconds by number of labels](features.png)",
    ]


def _describe_materializations(materializations: Sequence[MaterializationResult]) -> list[str]:
    return [
        "## Materialization",
        "",
        "From a table into an empty online table, six features a key, best of two runs. The memory is the growth at",
        "its peak: of our process, and of what PostgreSQL's processes hold beside the cache that they share.",
        "",
        "| | keys | keys per second | our memory, MB | PostgreSQL's, MB |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {NAMES[result.engine]} | {result.keys:,} | {result.keys_per_second:,.0f} | {result.memory_mb:.0f} "
            f"| {'not seen' if result.server_memory_mb is None else format(result.server_memory_mb, '.0f')} |"
            for result in materializations
        ),
    ]


def _place(join: JoinResult) -> tuple[float, int, bool, str]:
    return join.zipf_exponent, join.rows, join.engine != "feast", join.engine


def _reads_table(reads: dict[str, dict[int, float]]) -> list[str]:
    sizes = sorted(next(iter(reads.values())))
    return [
        "| | " + " | ".join(f"{size} keys" for size in sizes) + " |",
        "| --- |" + " ---: |" * len(sizes),
        *(
            f"| {NAMES[engine]} | " + " | ".join(f"{by_size[size]:.2f}" for size in sizes) + " |"
            for engine, by_size in reads.items()
        ),
    ]


def write_page(results: Results, page: Path = PAGE) -> None:
    """The page, and the plot beside it."""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(as_markdown(results))
    figure, axes = plt.subplots(figsize=(7, 4.2))
    for engine, name in NAMES.items():
        points = sorted((join.rows, join.seconds) for join in results.usual_joins if join.engine == engine)
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="labels", ylabel="seconds", title="Point-in-time join, zipf keys")
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend()
    figure.tight_layout()
    figure.savefig(page.with_suffix(".png"), dpi=120)
    plt.close(figure)
