{% macro movie_production_features(movies) %}
with movies as (
    select * from {{ movies }}
),

features as (
    select
        -- ids
        movie_id,

        -- timestamps (UTC)
        event_timestamp,
        created_timestamp,

        -- what kind of production
        runtime_minutes::bigint as production_runtime_minutes,
        ln(budget_usd) as production_budget_log,
        original_language as production_original_language,
        countries ->> 0 as production_main_country,
        jsonb_array_length(countries)::bigint as production_countries_count,
        jsonb_array_length(companies)::bigint as production_studios_count,

        -- when it was released
        coalesce(extract(year from release_date)::bigint, listed_year::bigint) as production_release_year,
        extract(month from release_date)::bigint as production_release_month,
        case
            when extract(month from release_date) in (12, 1, 2) then 'winter'
            when extract(month from release_date) in (3, 4, 5) then 'spring'
            when extract(month from release_date) in (6, 7, 8) then 'summer'
            when extract(month from release_date) in (9, 10, 11) then 'autumn'
        end as production_release_season
    from movies
)

select * from features
{% endmacro %}
