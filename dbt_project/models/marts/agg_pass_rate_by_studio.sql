{{ config(indexes=[{'columns': ['studio_name'], 'unique': true}]) }}

with ratings as (
    select * from {{ ref('fct_ratings') }}
),

counted as (
    select
        listed.name as studio_name,
        {{ pass_rate_columns('ratings.passes') }},
        avg(ratings.cast_female_share) as mean_cast_female_share
    from ratings
    cross join lateral ({{ name_keys('ratings.companies') }}) as listed
    group by listed.name
    having count(*) >= {{ var('fewest_films_of_a_group') }}
)

select * from counted
