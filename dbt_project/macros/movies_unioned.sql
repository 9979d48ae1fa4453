{#-
    One normalised film relation out of both sources, the ground of every release-day feature.
    `full join`: every film, for the tables. `left join`: films with a TMDB answer, for the live view, where
    `where movie_id = ...` must reach both primary keys. It is one text, so the two cannot drift apart.
    The lists alone differ: the live view asks for the rated file's where TMDB has none, since through the join PostgreSQL
    unpacks all of them for every film.
    A TMDB answer wins field by field: what it does not know (an empty cast, no budget) does not erase what the
    rated file knows.
-#}
{% macro movies_unioned(join_type) %}
    select
        -- ids
        {% if join_type == 'full join' %}coalesce(tmdb.movie_id, kaggle.movie_id){% else %}tmdb.movie_id{% endif %} as movie_id,
        coalesce(tmdb.imdb_id, kaggle.imdb_id) as imdb_id,

        -- texts
        coalesce(tmdb.title, kaggle.title) as title,
        {%- for column in ['original_title', 'tagline', 'overview', 'original_language', 'poster_path'] %}
        tmdb.{{ column }},
        {%- endfor %}

        -- lists
        {%- for column in ['genres', 'countries', 'companies', 'cast_members', 'crew_members'] %}
        {%- if join_type == 'full join' %}
        coalesce(tmdb.{{ column }}, kaggle.{{ column }}) as {{ column }},
        {%- else %}
        coalesce(
            tmdb.{{ column }},
            (select rated.{{ column }} from {{ ref('stg_kaggle__movies') }} as rated where rated.movie_id = tmdb.movie_id)
        ) as {{ column }},
        {%- endif %}
        {%- endfor %}

        -- numerics
        tmdb.runtime_minutes,
        coalesce(tmdb.budget_usd, kaggle.budget_usd) as budget_usd,
        kaggle.cast_female_representation / 100 as published_cast_female_share,
        kaggle.crew_female_representation / 100 as published_crew_female_share,

        -- known after release only
        {%- for column in ['vote_average', 'vote_count', 'revenue_usd', 'popularity'] %}
        coalesce(tmdb.{{ column }}, kaggle.{{ column }}) as {{ column }},
        {%- endfor %}

        -- dates
        coalesce(tmdb.release_date, kaggle.release_date) as release_date,
        kaggle.listed_year,

        -- when the release-day facts could first be known: docs/decisions/0010-two-clocks.md
        coalesce(
            tmdb.release_date, kaggle.release_date, make_date(kaggle.listed_year, 12, 31),
            (tmdb.fetched_at at time zone 'UTC')::date
        )::timestamp at time zone 'UTC' as event_timestamp,

        -- when we wrote them
        tmdb.source as tmdb_source,
        tmdb.loaded_at as tmdb_loaded_at,
        kaggle.source as kaggle_source,
        kaggle.loaded_at as kaggle_loaded_at,
        greatest(tmdb.loaded_at, kaggle.loaded_at) as written_at,

        -- origin
        coalesce(kaggle.is_synthetic, tmdb.is_synthetic) as is_synthetic
    from {{ ref('stg_tmdb__movies') }} as tmdb
    {{ join_type }} {{ ref('stg_kaggle__movies') }} as kaggle on tmdb.movie_id = kaggle.movie_id
{% endmacro %}
