-- The page's figures and the labels that a model learns from are of the same films.
with years as (
    select sum(films_count) as films from {{ ref('agg_pass_rate_by_year') }}
),

periods as (
    select sum(rating_0_count + rating_1_count + rating_2_count + rating_3_count) as films
    from {{ ref('agg_rating_levels_by_period') }}
),

labels as (
    select count(*) as films from {{ ref('lbl_movie_bechdel_rating') }}
)

select
    years.films as films_in_figures,
    periods.films as films_in_levels,
    labels.films as films_in_labels
from years
cross join periods
cross join labels
where coalesce(years.films, 0) != labels.films or coalesce(periods.films, 0) != labels.films
