"""Raw films, raw TMDB answers, their quarantines, and the books of loads and pipeline steps."""

from alembic import op

revision = "0001"
down_revision = None

SCHEMA = """
create schema raw;

create table raw.movies (
    -- columns keep the source's names in lower case; staging renames them
    tmdbid bigint primary key,
    imdbid bigint not null,
    title text not null,
    year integer not null,
    bt_score smallint not null check (bt_score between 0 and 3),
    dubious smallint check (dubious in (0, 1)),
    genres jsonb,
    popularity double precision,
    production_companies jsonb,
    production_countries jsonb,
    release_date date,
    revenue double precision,
    vote_average double precision,
    vote_count double precision,
    "cast" jsonb,
    crew jsonb,
    budget double precision,
    cast_gender jsonb,
    crew_gender jsonb,
    cast_female_representation double precision,
    crew_female_representation double precision,
    extra jsonb not null default '{}',
    source text not null check (source in ('kaggle', 'sample', 'file')),
    is_synthetic boolean not null,
    source_row bigint not null,
    row_hash text not null,
    first_loaded_at timestamptz not null,
    loaded_at timestamptz not null
);
comment on table raw.movies is 'Rated films, one row per film, as the newest load gave them.';
comment on column raw.movies.loaded_at is 'Moves only when the content of the row changes.';

create table raw.tmdb_movies (
    tmdb_id bigint primary key,
    payload jsonb not null,
    source text not null check (source in ('api', 'file', 'sample')),
    is_synthetic boolean not null,
    payload_hash text not null,
    fetched_at timestamptz not null,
    loaded_at timestamptz not null
);
comment on table raw.tmdb_movies is 'Landing table and cache of TMDB answers: movie details with credits under them.';
create index on raw.tmdb_movies (fetched_at);

create table raw.movies_rejected (
    source text not null,
    source_sha256 text not null,
    source_row bigint not null,
    reason_code text not null,
    reason text not null,
    original jsonb not null,
    rejected_at timestamptz not null,
    primary key (source_sha256, source_row, reason_code)
);
comment on table raw.movies_rejected is 'Rows that could not be used, with their reason and their original text.';

create table raw.tmdb_movies_rejected (like raw.movies_rejected including all);

create table raw.loads (
    load_id bigserial primary key,
    target text not null,
    source text not null,
    source_sha256 text not null,
    rows_read bigint not null,
    rows_loaded bigint not null,
    rows_unchanged bigint not null,
    rows_updated bigint not null,
    rows_rejected bigint not null,
    rows_removed bigint not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    check (rows_read = rows_loaded + rows_unchanged + rows_updated + rows_rejected)
);

create table ops.step_runs (
    step text primary key,
    fingerprint text not null,
    seconds double precision not null,
    finished_at timestamptz not null default now()
);
comment on table ops.step_runs is 'The inputs each pipeline step last finished with: a second run skips it.';
"""


def upgrade() -> None:
    """Create the tables."""
    op.execute(SCHEMA)
