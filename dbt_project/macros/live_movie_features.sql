{#- One film of a live relation, taken out of its TMDB answer once: `offset 0` holds the planner to it. -#}
{% macro unpacked_film(movies, movie_id) %}
    select
        movies.*,
        -- a film may have got a later release day since the last build: its own rating is in the track records from
        -- the day after the one that the build knew
        least(
            movies.event_timestamp,
            (
                select min(built.event_timestamp)
                from {{ ref('ftr_movie_production') }} as built
                where built.movie_id = movies.movie_id
            )
        ) as history_until
    from {{ movies }} as movies
    where movies.movie_id = {{ movie_id }}
    offset 0
{% endmacro %}

{#-
    The features of all families in one view: docs/decisions/0016-one-live-view.md. Sums are joined by `left join`, though
    each has its row: PostgreSQL leaves out those of a family that nobody selects. `landed` is there for the key: a
    condition on it does not pass `offset 0`.
-#}
{% macro live_movie_features(movies) %}
{%- set sums = {
    'in_cast': cast_sums(), 'in_crew': crew_sums(), 'in_text': text_sums(), 'in_history': history_sums()
} -%}
select
    -- ids
    landed.tmdb_id as movie_id,

    -- timestamps (UTC)
    movies.event_timestamp,
    movies.created_timestamp
    {%- for columns in [
        cast_columns(), crew_columns(), text_columns(), production_columns(), genre_columns(), history_columns(),
        after_release_columns(),
    ] %},
    {{- columns }}
    {%- endfor %}
from {{ source('raw', 'tmdb_movies') }} as landed
cross join lateral ({{ unpacked_film(movies, 'landed.tmdb_id') }}) as movies
{%- for name, query in sums.items() %}
left join lateral ({{ query }}) as {{ name }} on true
{%- endfor %}
{% endmacro %}
