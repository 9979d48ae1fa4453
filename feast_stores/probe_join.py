# ruff: noqa: S608 - identifiers are quoted, values travel as parameters
"""Point-in-time join by index probes inside PostgreSQL: best when few entity rows meet a large feature table."""

from collections.abc import Sequence

import pyarrow as pa

from feast_stores.arrow_transfer import ArrowConnection, Column
from feast_stores.entity_rows import MOMENT, ROW
from feast_stores.feature_source import FeatureSource, quote

ENTITIES = "_entity_rows"
# The planner's price of one probe. An index probe costs about 10 (two random pages), a scan of 10,000 rows 200.
HIGHEST_PROBE_COST = 50.0


def probe(
    connection: ArrowConnection,
    entities: pa.Table,
    source: FeatureSource,
    columns: dict[str, Column],
    *,
    filter_created: bool,
) -> pa.Table | None:
    """The features of each entity row in its order; None when no index makes the probes cheap."""
    connection.create_temporary(ENTITIES, entities)
    query = probe_query(source, columns, ENTITIES, filter_created=filter_created)
    if connection.plan(query)["Total Cost"] > entities.num_rows * HIGHEST_PROBE_COST:
        return None
    return connection.table(query).rename_columns([feature.name for feature in source.features])


def probe_query(source: FeatureSource, columns: dict[str, Column], entities: str, *, filter_created: bool) -> str:
    """One `lateral` probe per entity row: the newest row of its key that was known at its moment.

    The features are numbered: PostgreSQL would cut a long name.
    """
    probed = _newest_row(source, columns, f"entity.{MOMENT}", filter_created=filter_created)
    return f"""
        select {", ".join(f"newest.feature_{i}" for i in range(len(source.features)))}
        from {entities} as entity
        left join lateral ({probed}) as newest on true
        order by entity.{ROW}
    """


def statement(
    entity_query: str,
    event_time: str,
    sources: Sequence[tuple[FeatureSource, dict[str, Column]]],
    *,
    filter_created: bool,
) -> str:
    """The whole join as one statement, for a session in UTC that looks tables up where the store does."""
    moment = f"entity.{quote(event_time)}::timestamptz"
    outputs = ["entity.*"]
    probes = []
    for i, (source, columns) in enumerate(sources):
        outputs += [f"view_{i}.feature_{j} as {quote(feature.name)}" for j, feature in enumerate(source.features)]
        probed = _newest_row(source, columns, moment, filter_created=filter_created)
        probes.append(f"left join lateral ({probed}) as view_{i} on true")
    return f"""
        with entity as ({entity_query})
        select {", ".join(outputs)}
        from entity
        {" ".join(probes)}
    """


def _newest_row(source: FeatureSource, columns: dict[str, Column], moment: str, *, filter_created: bool) -> str:
    outputs = [f"{columns[feature.column].expression} as feature_{i}" for i, feature in enumerate(source.features)]
    order = [source.event_time, source.created_time] if source.created_time else [source.event_time]
    newest_first = ", ".join(f"source.{quote(column)} desc" for column in order)
    return f"""
            select {", ".join(outputs)}
            from {source.relation} as source
            where {" and ".join(_conditions(source, moment, filter_created=filter_created))}
            order by {newest_first}
            limit 1
        """


def _conditions(source: FeatureSource, moment: str, *, filter_created: bool) -> list[str]:
    event_time = f"source.{quote(source.event_time)}"
    conditions = [f"source.{quote(column)} = entity.{quote(key)}" for key, column in source.keys.items()]
    conditions.append(f"{event_time} <= {moment}")
    if source.ttl_seconds:
        conditions.append(f"{event_time} >= {moment} - {source.ttl_seconds} * interval '1 second'")
    if source.created_time:
        created_time = f"source.{quote(source.created_time)}"
        conditions.append(f"{created_time} <= {moment}" if filter_created else f"{created_time} is not null")
    return conditions
