{{ config(indexes=[{'columns': ['movie_id'], 'unique': true}]) }}

with movies as (
    {{ movies_unioned('full join') }}
),

tmdb_first_loads as (
    {{ first_loads('raw.tmdb_movies') }}
),

kaggle_first_loads as (
    {{ first_loads('raw.movies') }}
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
    left join tmdb_first_loads on movies.tmdb_source = tmdb_first_loads.source
    left join kaggle_first_loads on movies.kaggle_source = kaggle_first_loads.source
)

select * from stamped
