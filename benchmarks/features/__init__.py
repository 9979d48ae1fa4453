"""The feature stores' numbers, side by side with Feast's own stores and DuckDB: `python -m benchmarks.features`."""
