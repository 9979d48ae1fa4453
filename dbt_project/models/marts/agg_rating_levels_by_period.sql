{{ config(indexes=[{'columns': ['period_start_year'], 'unique': true}]) }}

with ratings as (
    select * from {{ ref('fct_ratings') }}
),

counted as (
    select
        year - mod(year, 5) as period_start_year,
        count(*) as films_count,
        {%- for rating in range(4) %}
        count(*) filter (where bechdel_rating = {{ rating }}) as rating_{{ rating }}_count{{ ',' if not loop.last }}
        {%- endfor %}
    from ratings
    group by 1
)

select * from counted
