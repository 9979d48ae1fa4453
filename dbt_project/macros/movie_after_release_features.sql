{#- What the audience made of a film, as we last read it; dated by that reading and not by the release. -#}
{% macro movie_after_release_features(movies) %}
with movies as (
    select * from {{ movies }}
),

features as (
    select
        -- ids
        movie_id,

        -- timestamps (UTC)
        written_at as event_timestamp,
        written_at as created_timestamp,

        -- votes
        vote_average as after_release_vote_average,
        vote_count::bigint as after_release_votes_count,

        -- money
        ln(revenue_usd) as after_release_revenue_log,
        ln(revenue_usd / budget_usd) as after_release_revenue_to_budget_log,

        -- attention
        popularity as after_release_popularity
    from movies
)

select * from features
{% endmacro %}
