-- The page's figures and the labels that a model learns from are of the same films.
with years as (
    select sum(films_count) as films from {{ ref('agg_pass_rate_by_year') }}
),

labels as (
    select count(*) as films from {{ ref('lbl_movie_bechdel_rating') }}
)

select
    years.films as films_in_figures,
    labels.films as films_in_labels
from years
cross join labels
where coalesce(years.films, 0) != labels.films
