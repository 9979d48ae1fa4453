{{ config(indexes=[{'columns': ['year'], 'unique': true}]) }}

with ratings as (
    select * from {{ ref('fct_ratings') }}
),

counted as (
    select
        year,
        {{ pass_rate_columns() }},
        count(*) filter (where is_dubious) as dubious_count,
        count(cast_female_share) as known_casts_count,
        avg(cast_female_share) as mean_cast_female_share
    from ratings
    group by year
)

select * from counted
