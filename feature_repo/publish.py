"""Bring Feast in line with dbt: apply the definitions, then materialize the views whose tables have changed."""

import argparse
import contextlib
import copy
import hashlib
import io
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from feast import FeatureStore, FeatureView
from psycopg import sql

from common import cli, database
from common.logs import configure_logging
from common.settings import load_settings
from feature_repo.manifest import MANIFEST, FeatureModel, load_feature_models
from feature_repo.service_columns import promise, refuse_broken_services, service_columns, write_service_columns
from feature_repo.views import feast_objects

logger = logging.getLogger(__name__)

REPOSITORY = Path(__file__).resolve().parent
BEFORE_CINEMA = datetime(1850, 1, 1, tzinfo=UTC)

# Which content of its table each view was last materialized from. Feast remembers time intervals only, and a film
# whose features were corrected, or that was added with an old release day, lies in no new interval.
BOOKS = """
    create schema if not exists online;
    create table if not exists online.published (
        feature_view text primary key,
        fingerprint text not null,
        row_count bigint not null,
        published_at timestamptz not null default now()
    )
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Apply, materialize what changed, and say what was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, default=MANIFEST, help="dbt's manifest (default: %(default)s)")
    parser.add_argument(
        "--all", action="store_true", help="materialize every view, changed or not (needed after `feast teardown`)"
    )
    options = parser.parse_args(arguments)
    configure_logging(load_settings().log_level)

    store = FeatureStore(str(REPOSITORY))
    models = load_feature_models(options.manifest)
    prepare(models, store)
    apply(store, models)
    with database.connect(store.config.offline_store.connection, autocommit=True) as connection:
        write_service_columns(connection, service_columns(models))
        connection.execute(BOOKS)
        for model in models:
            publish(store, connection, model, even_if_unchanged=options.all)
    return 0


def prepare(models: Sequence[FeatureModel], store: FeatureStore | None = None) -> None:
    """What has to stand before Feast registers: services keep what they promised, and no column is missing online.

    Raises:
        FeatureStoreError: a registered service would lose a column.
    """
    store = store or FeatureStore(str(REPOSITORY))
    promised = service_columns(models)
    with database.connect(store.config.offline_store.connection, autocommit=True) as connection:
        refuse_broken_services(connection, promised)
        promise(connection, promised)
    widen_online_tables(store, [item for item in feast_objects(models) if isinstance(item, FeatureView)])


def apply(store: FeatureStore, models: Sequence[FeatureModel]) -> None:
    """Register what the models say; a view or service that they no longer give is removed."""
    started = time.monotonic()
    wanted = feast_objects(models)
    names = {item.name for item in wanted}
    registered = [*store.list_feature_services(), *store.list_feature_views()]
    gone = [item for item in registered if item.name not in names]
    store.apply(wanted, objects_to_delete=gone, partial=False)
    logger.info("applied objects=%d removed=%d seconds=%.1f", len(wanted), len(gone), time.monotonic() - started)


def widen_online_tables(store: FeatureStore, wanted: Sequence[FeatureView]) -> None:
    """Add the columns of new features online, before they are registered.

    Feast registers first and changes the tables last: killed between the two, its services would name columns that
    no table has, and no film could be read.
    """
    registered = {view.name: view for view in store.list_feature_views()}
    wider = []
    for view in wanted:
        if view.name in registered:
            both = copy.copy(registered[view.name])
            names = {field.name for field in both.features}
            both.features = [*both.features, *(field for field in view.features if field.name not in names)]
            wider.append(both)
    store._get_provider().online_store.update(store.config, [], wider, [], [], partial=True)


def publish(
    store: FeatureStore, connection: psycopg.Connection[Any], model: FeatureModel, *, even_if_unchanged: bool
) -> None:
    """Materialize one view, unless its table and its definition are those of the last time."""
    started = time.monotonic()
    view = store.get_feature_view(model.view_name)
    rows, fingerprint = fingerprint_of(connection, model, view, store.config.online_store.type)
    known = connection.execute("select fingerprint from online.published where feature_view = %s", [model.view_name])
    if known.fetchone() == (fingerprint,) and not even_if_unchanged:
        logger.info("unchanged view=%s rows=%d seconds=%.1f", model.view_name, rows, time.monotonic() - started)
        return
    with contextlib.redirect_stdout(io.StringIO()):  # Feast prints; our own line below says more
        store.materialize(BEFORE_CINEMA, datetime.now(UTC), feature_views=[model.view_name])
    connection.execute(
        "insert into online.published (feature_view, fingerprint, row_count) values (%s, %s, %s) "
        "on conflict (feature_view) do update set fingerprint = excluded.fingerprint, "
        "row_count = excluded.row_count, published_at = now()",
        [model.view_name, fingerprint, rows],
    )
    logger.info("materialized view=%s rows=%d seconds=%.1f", model.view_name, rows, time.monotonic() - started)


def fingerprint_of(
    connection: psycopg.Connection[Any], model: FeatureModel, view: FeatureView, target: str
) -> tuple[int, str]:
    """Count of the rows that can be served now, and a hash of them, of the view's fields and of the online store."""
    query = sql.SQL(
        "select count(*), coalesce(sum(hashtextextended(feature_row::text, 0)), 0)::text "
        "from {} as feature_row where event_timestamp <= now()"
    ).format(sql.Identifier(*model.table.split(".")))
    rows, content = connection.execute(query).fetchone() or (0, "0")
    definition = ",".join(f"{field.name} {field.dtype}" for field in view.features)
    return rows, hashlib.sha256(f"{content} {definition} {target}".encode()).hexdigest()


if __name__ == "__main__":
    cli.run(main)
