{{ config(indexes=[{'columns': ['genre_name', 'event_timestamp'], 'unique': true}]) }}

{% set credits %}
    select
        movies.movie_id,
        listed.name as genre_name,
        'genre' as role
    from {{ ref('int_movies_unioned') }} as movies
    cross join lateral ({{ name_keys('movies.genres') }}) as listed
{% endset %}

{{ track_record(credits, 'genre_name', {'genre': 'genre'}) }}
