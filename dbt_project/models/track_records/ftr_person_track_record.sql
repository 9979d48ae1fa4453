{{ config(indexes=[{'columns': ['person_id', 'event_timestamp'], 'unique': true}]) }}

{% set credits %}
    select
        movies.movie_id,
        person.person_id,
        role.name as role
    from {{ ref('int_movies_unioned') }} as movies
    cross join lateral ({{ crew_keys('movies.crew_members') }}) as person
    cross join lateral (values ('director', person.is_director), ('writer', person.is_writer)) as role (name, is_held)
    where role.is_held
    union all
    select
        movies.movie_id,
        person.person_id,
        'lead' as role
    from {{ ref('int_movies_unioned') }} as movies
    cross join lateral ({{ lead_actor_key('movies.cast_members') }}) as person
{% endset %}

{{ track_record(
    credits, 'person_id', {'director': 'person_director', 'writer': 'person_writer', 'lead': 'person_lead'}
) }}
