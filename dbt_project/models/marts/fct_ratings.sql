{{ config(indexes=[{'columns': ['movie_id'], 'unique': true}]) }}

with labels as (
    select * from {{ ref('lbl_movie_bechdel_rating') }}
),

movies as (
    select * from {{ ref('int_movies_unioned') }}
),

casts as (
    select * from {{ ref('ftr_movie_cast') }}
),

rated as (
    select
        -- ids
        labels.movie_id,

        -- texts and lists
        movies.title,
        movies.genres,
        movies.countries,
        movies.companies,

        -- dates
        extract(year from labels.event_timestamp at time zone 'UTC')::integer as year,
        (extract(decade from labels.event_timestamp at time zone 'UTC') * 10)::integer as decade,

        -- the rating
        labels.bechdel_rating,
        labels.bechdel_rating = 3 as passes,
        labels.is_dubious,

        -- women in the cast
        casts.cast_female_share,

        -- origin
        labels.is_synthetic
    from labels
    inner join movies on labels.movie_id = movies.movie_id
    left join casts on labels.movie_id = casts.movie_id
)

select * from rated
