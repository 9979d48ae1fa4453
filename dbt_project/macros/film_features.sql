{#- The features of one family of each film: columns over `movies`, and over `sums` of each film, called `name`. -#}
{% macro film_features(movies, columns, sums=none, name=none) %}
select
    -- ids
    movies.movie_id,

    -- timestamps (UTC)
    movies.event_timestamp,
    movies.created_timestamp,

    {{- columns }}
from {{ movies }} as movies
{%- if sums %}
cross join lateral ({{ sums }}) as {{ name }}
{%- endif %}
{% endmacro %}
