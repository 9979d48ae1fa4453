{{ config(indexes=[{'columns': ['period_start_year'], 'unique': true}]) }}

with ratings as (
    select * from {{ ref('fct_ratings') }}
),

counted as (
    select
        year - mod(year, 5) as period_start_year,
        count(*) as films_count,
        count(*) filter (where bechdel_rating = 0) as rating_0_count,
        count(*) filter (where bechdel_rating = 1) as rating_1_count,
        count(*) filter (where bechdel_rating = 2) as rating_2_count,
        count(*) filter (where bechdel_rating = 3) as rating_3_count
    from ratings
    group by 1
)

select * from counted
