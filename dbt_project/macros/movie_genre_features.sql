{#- TMDB's 19 film genres; https://developer.themoviedb.org/reference/genre-movie-list -#}
{% macro movie_genres() -%}
    {{ return([
        'Action', 'Adventure', 'Animation', 'Comedy', 'Crime', 'Documentary', 'Drama', 'Family', 'Fantasy', 'History', 'Horror',
        'Music', 'Mystery', 'Romance', 'Science Fiction', 'TV Movie', 'Thriller', 'War', 'Western',
    ]) }}
{%- endmacro %}

{% macro genre_columns() %}
    -- genres; null when the film has none
    jsonb_array_length(movies.genres)::bigint as genre_count
    {%- for genre in movie_genres() %},
    movies.genres @> '["{{ genre }}"]' as genre_is_{{ genre | lower | replace(' ', '_') }}
    {%- endfor %}
{%- endmacro %}

{% macro movie_genre_features(movies) -%}
    {{ film_features(movies, genre_columns()) }}
{%- endmacro %}
