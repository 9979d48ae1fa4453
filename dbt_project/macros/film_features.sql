{#-
    The features of one family of each film: columns over `movies`, and over `sums` of each film, called `name`. `clocks`:
    where both times of a row come from.
-#}
{% macro film_features(movies, columns, sums=none, name=none, clocks=('event_timestamp', 'created_timestamp')) %}
select
    -- ids
    movies.movie_id,

    -- timestamps (UTC)
    movies.{{ clocks[0] }} as event_timestamp,
    movies.{{ clocks[1] }} as created_timestamp,

    {{- columns }}
from {{ movies }} as movies
{%- if sums %}
cross join lateral ({{ sums }}) as {{ name }}
{%- endif %}
{% endmacro %}
