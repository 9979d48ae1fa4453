"""Alembic's entry point: runs the versions inside one transaction; the version table lives in schema `ops`."""

from alembic import context
from sqlalchemy import create_engine, pool, text

url = context.config.attributes["url"].replace("postgresql://", "postgresql+psycopg://", 1)

with create_engine(url, poolclass=pool.NullPool).begin() as connection:
    connection.execute(text("create schema if not exists ops"))
    context.configure(connection=connection, version_table="schema_version", version_table_schema="ops")
    context.run_migrations()
