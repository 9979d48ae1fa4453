"""The numbers as JSON for the checks, as a table for the terminal, and as a page for readers."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from common.settings import ROOT

NUMBERS = ROOT / "reports" / "serving.json"
PAGE = ROOT / "docs" / "benchmarks" / "serving.md"
PATHS = {"cold": "everything cold", "landed": "landed, computed anew", "cached": "asked before"}
PEERS = {
    "ours": "ours",
    "ours_gunicorn": "ours under gunicorn",
    "reference": "reference design",
    "mlflow": "mlflow models serve",
}
CLIENTS = (1, 8, 32)
Report = Mapping[str, Any]


def write_json(report: Report) -> None:
    NUMBERS.parent.mkdir(exist_ok=True)
    NUMBERS.write_text(json.dumps(report, indent=2) + "\n")


def as_table(report: Report) -> str:
    """One line per path and number of clients, one column per server; p50 / p99 in ms and requests a second."""
    peers = [name for name in PEERS if name in report]
    rows = [("path, clients", *(PEERS[name] for name in peers)), *_lines(report, peers)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(peers) + 1)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])


def _lines(report: Report, peers: list[str]) -> Iterator[tuple[str, ...]]:
    for path, text in PATHS.items():
        for clients in CLIENTS:
            cells = [_cell(report[name].get(path, {}).get(f"c{clients}")) for name in peers]
            if any(cell != "-" for cell in cells):
                yield (f"{text}, {clients}", *cells)
    for name, text in (
        ("batch_100_ms", "100 landed films in one request, ms"),
        ("batch_100_cached_ms", "100 films asked before, ms"),
        ("memory_mb_per_worker", "memory per worker, MB"),
    ):
        yield (text, *(str(report[peer].get(name, "-")) for peer in peers))


def _cell(figures: Mapping[str, float] | None) -> str:
    return f"{figures['p50_ms']:.1f} / {figures['p99_ms']:.1f}, {figures['rps']:,.0f}/s" if figures else "-"


def write_page(report: Report) -> None:
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(as_page(report))


def as_page(report: Report) -> str:
    machine = report["machine"]
    return f"""# The server, measured

Written by `make bench-serving` on {datetime.now(UTC):%Y-%m-%d}; everything in one run on one machine with
{machine["cores"]} cores, {machine["workers"]} workers, the clients beside them, {machine["films"]:,} films of \
{machine["source"]}, TMDB's stand-in
at 0 ms. The load average was {machine["load_before"]} when it began. Cells are p50 / p99 in milliseconds and requests
a second.

{as_table(report)}

- **Everything cold**: a film that was never asked for, by `tmdb_id`: one question to TMDB, landing, live view,
  model. Ours keeps to 20 questions to TMDB a second: one client lets 60 ms go by between two films, in which it
  asks for one that was asked before (a machine that falls asleep would wake up slowly); 8 and 32 clients wait. The
  reference has no limit and asks without a pause.
- **Landed**: TMDB's answer lies in `raw.tmdb_movies`, nothing else is known; features by the live view, model anew.
- **Asked before**: the film's vector is remembered under film, payload, publication and champion.
- **Reference design**: three new connections to TMDB per film, a pandas frame, a random forest behind pyfunc, Flask
  under gunicorn. It does all of its work each time.
- **mlflow models serve**: the same champion at `/invocations`, the features handed in by the client.
- Memory is the resident set of the largest worker.
"""
