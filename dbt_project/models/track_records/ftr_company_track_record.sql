{{ config(indexes=[{'columns': ['company_name', 'event_timestamp'], 'unique': true}]) }}

{% set credits %}
    select
        movies.movie_id,
        listed.name as company_name,
        'company' as role
    from {{ ref('int_movies_unioned') }} as movies
    cross join lateral ({{ name_keys('movies.companies') }}) as listed
{% endset %}

{{ track_record(credits, 'company_name', {'company': 'company'}) }}
