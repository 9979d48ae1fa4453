# ruff: noqa: S608 - identifiers are quoted, values travel as parameters
"""The point-in-time join: for each entity row and view the newest feature row that was known then."""

from collections.abc import Sequence

import pyarrow as pa

from feast_stores.arrow_transfer import ArrowConnection, Column
from feast_stores.entity_rows import EntityRows
from feast_stores.feature_source import FeatureSource, quote
from feast_stores.merge_join import Clocks, merge, transfer_query
from feast_stores.probe_join import probe

# One index probe takes as long as handing over and sorting five feature rows: see docs/decisions/0030.
ROWS_PER_PROBE = 5


def join(
    connection: ArrowConnection,
    entity_rows: EntityRows,
    sources: Sequence[FeatureSource],
    *,
    filter_created: bool,
    memory_limit: str,
) -> pa.Table:
    """The entity rows in their order, with the features of every source beside them."""
    result = entity_rows.table
    for source in sources:
        columns = connection.describe(f"{source.relation} as source", source.columns)
        entities = entity_rows.select(source.keys)
        found = None
        if entities.num_rows * ROWS_PER_PROBE < expected_rows(connection, source):
            found = probe(connection, entities, source, columns, filter_created=filter_created)
        if found is None:
            clocks = choose_clocks(connection, source, filter_created=filter_created)
            batches = connection.batches(transfer_query(source, columns, clocks))
            found = merge(batches, entities, source, clocks=clocks, memory_limit=memory_limit)
        result = _beside(result, found, source, columns)
    return result


def expected_rows(connection: ArrowConnection, source: FeatureSource) -> int:
    """The planner's guess of how many rows the source holds; it looks at statistics only."""
    return int(connection.plan(f"select {quote(source.event_time)} from {source.known_rows}")["Plan Rows"])


def choose_clocks(connection: ArrowConnection, source: FeatureSource, *, filter_created: bool) -> Clocks:
    """Where an index forbids two rows of a key at one event time there is no tie to break."""
    if source.created_time is None:
        return Clocks(breaks_ties=False, filters=False)
    tied = not connection.is_unique(source.relation, [*source.keys.values(), source.event_time])
    return Clocks(breaks_ties=tied, filters=filter_created)


def _beside(result: pa.Table, found: pa.Table, source: FeatureSource, columns: dict[str, Column]) -> pa.Table:
    """Add the found features in the types in which Feast hands them out."""
    for feature in source.features:
        values = found[feature.name].cast(columns[feature.column].arrow_type)
        result = result.append_column(feature.name, values)
    return result
