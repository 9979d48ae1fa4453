"""What the server writes down: every prediction, and what people answer to it."""

from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA = """
create schema serving;

create table serving.prediction_log (
    prediction_id bigint generated always as identity primary key,
    request_id text not null,
    predicted_at timestamptz not null,
    movie_id bigint not null,
    payload_hash text,
    model_name text not null,
    model_version text not null,
    feature_service text not null,
    vector jsonb not null check (jsonb_typeof(vector) = 'object'),
    rating_probabilities double precision[] not null check (cardinality(rating_probabilities) = 4),
    probability double precision not null check (probability between 0 and 1),
    verdict text not null check (verdict in ('pass', 'fail', 'too_close_to_call')),
    is_live boolean not null,
    is_cached boolean not null,
    degraded text[] not null,
    stage_seconds jsonb not null
);
comment on table serving.prediction_log is 'One row per film and answer, written in batches (docs/model_logs.md).';
comment on column serving.prediction_log.vector is
    'Feature values by name as the model read them, null when unknown; texts are left out.';
comment on column serving.prediction_log.is_cached is 'Whether the film had been scored before from the same data.';
create index on serving.prediction_log (predicted_at);
create index on serving.prediction_log (movie_id, predicted_at);

create table serving.feedback (
    feedback_id bigint generated always as identity primary key,
    given_at timestamptz not null default now(),
    request_id text not null,
    movie_id bigint not null,
    rating smallint not null check (rating between 0 and 3),
    comment text,
    model_version text
);
comment on table serving.feedback is
    'Ratings that users of the server gave; they stand beside the known rating and are nowhere taken for it.';
create index on serving.feedback (movie_id, given_at);
"""


def upgrade() -> None:
    """Create the tables."""
    op.execute(SCHEMA)
