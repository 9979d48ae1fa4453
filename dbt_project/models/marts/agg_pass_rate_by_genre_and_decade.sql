{{ config(indexes=[{'columns': ['genre_name', 'decade'], 'unique': true}]) }}

with ratings as (
    select * from {{ ref('fct_ratings') }}
),

counted as (
    select
        genre.name as genre_name,
        ratings.decade,
        {{ pass_rate_columns('ratings.passes') }},
        avg(ratings.cast_female_share) as mean_cast_female_share
    from ratings
    cross join lateral ({{ name_keys('ratings.genres') }}) as genre
    group by genre.name, ratings.decade
)

select * from counted
