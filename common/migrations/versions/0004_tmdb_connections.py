"""TMDB's limits are shared by every process of this database: ten connections that start twice a second each."""

from alembic import op

revision = "0004"
down_revision = "0003"

SCHEMA = """
create table serving.tmdb_connections (
    connection_id smallint primary key,
    starts_at timestamptz not null,
    free_at timestamptz not null
);
comment on table serving.tmdb_connections is
    'One row per connection to TMDB that may be in use at a time, by whichever process (decision 0073).';
comment on column serving.tmdb_connections.starts_at is 'When its last question was to start.';
comment on column serving.tmdb_connections.free_at is
    'When the next may start; while one is on its way, when it is given up for lost.';
insert into serving.tmdb_connections select number, now(), now() from generate_series(1, 10) as number;
"""


def upgrade() -> None:
    """Create the table with its ten rows."""
    op.execute(SCHEMA)
