{#- TMDB's 19 film genres; https://developer.themoviedb.org/reference/genre-movie-list -#}
{% macro movie_genres() -%}
    {{ return([
        'Action', 'Adventure', 'Animation', 'Comedy', 'Crime', 'Documentary', 'Drama', 'Family', 'Fantasy', 'History', 'Horror',
        'Music', 'Mystery', 'Romance', 'Science Fiction', 'TV Movie', 'Thriller', 'War', 'Western',
    ]) }}
{%- endmacro %}

{% macro movie_genre_features(movies) %}
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

        -- genres; null when the film has none
        jsonb_array_length(genres)::bigint as genre_count
        {%- for genre in movie_genres() %},
        genres @> '["{{ genre }}"]' as genre_is_{{ genre | lower | replace(' ', '_') }}
        {%- endfor %}
    from movies
)

select * from features
{% endmacro %}
