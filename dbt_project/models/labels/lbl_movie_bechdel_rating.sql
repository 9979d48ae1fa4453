with ratings as (
    select * from {{ ref('stg_kaggle__movies') }}
),

movies as (
    select * from {{ ref('int_movies_unioned') }}
),

labels as (
    select
        -- ids
        movies.movie_id,

        -- timestamps (UTC)
        movies.event_timestamp,
        movies.created_timestamp,

        -- the answer
        ratings.bechdel_rating,
        ratings.is_dubious,

        -- origin
        ratings.is_synthetic
    from ratings
    inner join movies on ratings.movie_id = movies.movie_id
)

select * from labels
