{% macro production_columns() %}
    -- what kind of production
    movies.runtime_minutes::bigint as production_runtime_minutes,
    ln(movies.budget_usd) as production_budget_log,
    movies.original_language as production_original_language,
    movies.countries ->> 0 as production_main_country,
    jsonb_array_length(movies.countries)::bigint as production_countries_count,
    jsonb_array_length(movies.companies)::bigint as production_studios_count,

    -- when it was released
    coalesce(extract(year from movies.release_date)::bigint, movies.listed_year::bigint) as production_release_year,
    extract(month from movies.release_date)::bigint as production_release_month,
    case
        when extract(month from movies.release_date) in (12, 1, 2) then 'winter'
        when extract(month from movies.release_date) in (3, 4, 5) then 'spring'
        when extract(month from movies.release_date) in (6, 7, 8) then 'summer'
        when extract(month from movies.release_date) in (9, 10, 11) then 'autumn'
    end as production_release_season
{%- endmacro %}

{% macro movie_production_features(movies) -%}
    {{ film_features(movies, production_columns()) }}
{%- endmacro %}
