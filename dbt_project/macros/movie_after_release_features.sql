{#- What the audience made of a film, as we last read it. -#}
{% macro after_release_columns() %}
    -- votes
    movies.vote_average as after_release_vote_average,
    movies.vote_count::bigint as after_release_votes_count,

    -- money
    ln(movies.revenue_usd) as after_release_revenue_log,
    ln(movies.revenue_usd / movies.budget_usd) as after_release_revenue_to_budget_log,

    -- attention
    movies.popularity as after_release_popularity
{%- endmacro %}

{#- Dated by our reading of the figures and not by the release. -#}
{% macro movie_after_release_features(movies) -%}
    {{ film_features(movies, after_release_columns(), clocks=('written_at', 'written_at')) }}
{%- endmacro %}
