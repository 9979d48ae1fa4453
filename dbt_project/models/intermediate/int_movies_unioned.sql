{{ config(indexes=[{'columns': ['movie_id'], 'unique': true}]) }}

with movies as (
    {{ movies_unioned('full join') }}
),

first_loads as (
    select
        target,
        source,
        min(finished_at) as finished_at
    from {{ source('raw', 'loads') }}
    group by target, source
),

stamped as (
    select
        movies.*,
        -- a row of its source's first load is history that was there before us: docs/decisions/0010-two-clocks.md
        case
            when
                (movies.tmdb_loaded_at is null or movies.tmdb_loaded_at <= tmdb_first_loads.finished_at)
                and (movies.kaggle_loaded_at is null or movies.kaggle_loaded_at <= kaggle_first_loads.finished_at)
                then least(movies.event_timestamp, movies.written_at)
            else movies.written_at
        end as created_timestamp
    from movies
    left join first_loads as tmdb_first_loads
        on
            tmdb_first_loads.target = 'raw.tmdb_movies'
            and movies.tmdb_source = tmdb_first_loads.source
    left join first_loads as kaggle_first_loads
        on
            kaggle_first_loads.target = 'raw.movies'
            and movies.kaggle_source = kaggle_first_loads.source
)

select * from stamped
