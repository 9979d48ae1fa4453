{{ config(indexes=[{'columns': ['country_name', 'event_timestamp'], 'unique': true}]) }}

{% set credits %}
    select
        movies.movie_id,
        listed.name as country_name,
        'country' as role
    from {{ ref('int_movies_unioned') }} as movies
    cross join lateral ({{ name_keys('movies.countries') }}) as listed
{% endset %}

{{ track_record(credits, 'country_name', {'country': 'country'}) }}
