{{ config(indexes=[
    {'columns': ['movie_id'], 'unique': true},
    {'columns': ['imdb_id']},
    {'columns': ['title_search', 'year']},
    {'columns': ['original_title_search']},
]) }}

with movies as (
    select * from {{ ref('int_movies_unioned') }}
),

ratings as (
    select * from {{ ref('stg_kaggle__movies') }}
),

answers as (
    select * from {{ ref('stg_tmdb__movies') }}
),

described as (
    select
        -- ids
        movies.movie_id,
        movies.imdb_id,

        -- texts
        movies.title,
        movies.original_title,
        movies.poster_path,
        {{ search_key('movies.title') }} as title_search,
        {{ search_key('movies.original_title') }} as original_title_search,

        -- dates
        coalesce(extract(year from movies.release_date)::integer, movies.listed_year) as year,
        movies.release_date,

        -- the known rating
        ratings.bechdel_rating is not null as has_rating,
        ratings.bechdel_rating,
        ratings.is_dubious,

        -- how well known: the order among films of one title
        rank() over (
            order by
                coalesce(ratings.vote_count, answers.vote_count) desc nulls last,
                coalesce(ratings.popularity, answers.popularity) desc nulls last
        ) as popularity_rank,

        -- origin
        movies.is_synthetic
    from movies
    left join ratings on movies.movie_id = ratings.movie_id
    left join answers on movies.movie_id = answers.movie_id
    where movies.title is not null
)

select * from described
