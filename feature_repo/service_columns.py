"""The columns that each feature service reads, written down in the database where dbt can see them.

A feature service is a model's contract: it may grow, but what it has promised keeps its name and type. dbt asks this
table before it publishes (dbt_project/macros/promises.sql), `publish.py` before it registers.
"""

from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import psycopg
from feast import FeatureService

from common.errors import FeatureStoreError
from feature_repo.manifest import TIME_COLUMNS, TIME_TYPE, FeatureModel
from feature_repo.views import feast_objects

_COLUMNS = "feature_service, feature_view, table_name, column_name, data_type"

_TABLE = """
    create schema if not exists online;
    create table if not exists online.service_columns (
        feature_service text not null,
        feature_view text not null,
        table_name text not null,
        column_name text not null,
        data_type text not null,
        registered_at timestamptz not null default now(),
        primary key (feature_service, feature_view, column_name)
    );
    comment on table online.service_columns is
        'What every registered feature service reads. A dbt build that takes one of these away is not published.';
"""

# A column that dbt has already taken away, which it does only when it is told to, is no promise any more.
_PROMISED = """
    select feature_service, feature_view, column_name, data_type
    from online.service_columns as promised
    inner join pg_attribute as published
        on
            published.attrelid = to_regclass(promised.table_name)
            and published.attname = promised.column_name
            and not published.attisdropped
            and format_type(published.atttypid, published.atttypmod) = promised.data_type
    order by feature_service, feature_view, column_name
"""


@dataclass(frozen=True)
class ServiceColumn:
    """One column that a service reads, by the names of Feast and of the database."""

    feature_service: str
    feature_view: str
    table_name: str  # features.ftr_movie_cast
    column_name: str
    data_type: str


def service_columns(models: Sequence[FeatureModel]) -> frozenset[ServiceColumn]:
    """What the services read: their features, and the key and both times of each view behind them."""
    by_view = {model.view_name: model for model in models}
    services = [item for item in feast_objects(models) if isinstance(item, FeatureService)]
    return frozenset(
        ServiceColumn(service.name, projection.name, by_view[projection.name].table, name, data_type)
        for service in services
        for projection in service.feature_view_projections
        for name, data_type in _columns(by_view[projection.name], {field.name for field in projection.features})
    )


def _columns(model: FeatureModel, chosen: Collection[str]) -> list[tuple[str, str]]:
    features = [(feature.name, feature.data_type) for feature in model.features if feature.name in chosen]
    return [(model.key.name, model.key.data_type), *((name, TIME_TYPE) for name in TIME_COLUMNS), *features]


def refuse_broken_services(connection: psycopg.Connection[Any], wanted: Collection[ServiceColumn]) -> None:
    """Stop before a registered service loses a column that its table still has; a service may go as a whole.

    Raises:
        FeatureStoreError: names the service and what it would lose.
    """
    connection.execute(_TABLE)
    kept = {(column.feature_service, column.feature_view, column.column_name, column.data_type) for column in wanted}
    services = {column.feature_service for column in wanted}
    lost = [row for row in connection.execute(_PROMISED) if row[0] in services and row not in kept]
    if lost:
        service, view, name, _ = lost[0]
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise FeatureStoreError(
            f"The feature service {service} is registered with {name} of {view}{more}, which these definitions no "
            f"longer give it. A service is not edited once a model may have used it: leave it as it was, add a new "
            f"version of it in feature_repo/views.py, and remove the old one when no model needs it."
        )


def promise(connection: psycopg.Connection[Any], wanted: Collection[ServiceColumn]) -> None:
    """Add to the table what is about to be registered; a row that is there keeps its time."""
    with connection.transaction(), connection.cursor() as cursor:
        _insert(cursor, wanted)


def write_service_columns(connection: psycopg.Connection[Any], wanted: Collection[ServiceColumn]) -> None:
    """Make the table say what is registered now; a row that stays keeps its time."""
    with connection.transaction(), connection.cursor() as cursor:
        _insert(cursor, wanted)
        cursor.execute(
            f"delete from online.service_columns where ({_COLUMNS}) not in (select {_COLUMNS} from wanted)"  # noqa: S608 - constants
        )


def _insert(cursor: psycopg.Cursor[Any], wanted: Collection[ServiceColumn]) -> None:
    """All of it into the temporary table `wanted`, and what is new from there into ours."""
    cursor.execute("create temporary table wanted (like online.service_columns) on commit drop")
    cursor.execute("alter table wanted alter registered_at set default now()")
    with cursor.copy(f"copy wanted ({_COLUMNS}) from stdin") as copy:
        for column in wanted:
            copy.write_row(astuple(column))
    cursor.execute("""
        insert into online.service_columns as known select * from wanted
        on conflict (feature_service, feature_view, column_name) do update
        set
            table_name = excluded.table_name,
            data_type = excluded.data_type,
            registered_at = excluded.registered_at
        where (known.table_name, known.data_type) <> (excluded.table_name, excluded.data_type)
    """)
