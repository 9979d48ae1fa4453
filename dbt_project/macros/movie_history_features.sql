{#-
    The newest state of a track record before a film: none is stamped earlier than the day after a film's release, so
    films of the same day and the film itself are not in it.
-#}
{% macro track_record_as_of(entity, key, value) %}
        left join lateral (
            select record.*
            from {{ ref('ftr_' ~ entity ~ '_track_record') }} as record
            where record.{{ key }} = {{ value }} and record.event_timestamp <= movies.as_of
            order by record.event_timestamp desc
            limit 1
        ) as record on true
{% endmacro %}

{#- Sums over the keys of one kind; numeric, so that they do not depend on the order of the keys. -#}
{% macro history_sums(kind, prefix, condition='true') %}
            case when count(*) filter (where {{ condition }}) > 0
                then coalesce(sum(record.{{ prefix }}_films_count) filter (where {{ condition }}), 0) end as {{ kind }}_films,
            sum(record.{{ prefix }}_passes_count) filter (where {{ condition }}) as {{ kind }}_passes,
            sum(record.{{ prefix }}_expected_passes::numeric) filter (where {{ condition }}) as {{ kind }}_expected_passes,
            sum(record.{{ prefix }}_casts_count) filter (where {{ condition }}) as {{ kind }}_casts,
            sum((record.{{ prefix }}_cast_female_share * record.{{ prefix }}_casts_count)::numeric)
                filter (where {{ condition }}) as {{ kind }}_female_share
{%- endmacro %}

{% macro history_kinds() -%} {{ return(['director', 'writer', 'lead_actor', 'studio', 'genre', 'country']) }} {%- endmacro %}

{% macro movie_history_features(movies) %}
with movies as (
    select
        movies.movie_id,
        movies.event_timestamp,
        movies.created_timestamp,
        movies.cast_members,
        movies.crew_members,
        movies.companies,
        movies.genres,
        movies.countries,
        -- a live film may have got a later release day since the last build: its own rating is in the track
        -- records from the day after the one that the build knew
        least(movies.event_timestamp, built.event_timestamp) as as_of
    from {{ movies }} as movies
    left join {{ ref('ftr_movie_production') }} as built on movies.movie_id = built.movie_id
),

looked_up as (
    select
        movies.movie_id,
        movies.event_timestamp,
        movies.created_timestamp,
        crew.*,
        lead_actor.*,
        studio.*,
        genre.*,
        country.*
    from movies
    cross join lateral (
        select
            {{- history_sums('director', 'person_director', 'person.is_director') }},
            {{- history_sums('writer', 'person_writer', 'person.is_writer') }}
        from ({{ crew_keys('movies.crew_members') }}) as person
        {{ track_record_as_of('person', 'person_id', 'person.person_id') }}
    ) as crew
    cross join lateral (
        select
            {{- history_sums('lead_actor', 'person_lead') }}
        from ({{ lead_actor_key('movies.cast_members') }}) as person
        {{ track_record_as_of('person', 'person_id', 'person.person_id') }}
    ) as lead_actor
    {%- for kind, entity, column in [
        ('studio', 'company', 'companies'), ('genre', 'genre', 'genres'), ('country', 'country', 'countries')
    ] %}
    cross join lateral (
        select
            {{- history_sums(kind, entity) }}
        from ({{ name_keys('movies.' ~ column) }}) as listed
        {{ track_record_as_of(entity, entity ~ '_name', 'listed.name') }}
    ) as {{ kind }}
    {%- endfor %}
),

features as (
    select
        -- ids
        movie_id,

        -- timestamps (UTC)
        event_timestamp,
        created_timestamp,

        -- films released strictly earlier
        {%- for kind in history_kinds() %}
        {{ kind }}_films::bigint as history_{{ kind }}_films_count,
        ({{ kind }}_passes / nullif({{ kind }}_films, 0))::double precision as history_{{ kind }}_pass_share,
        (
            (coalesce({{ kind }}_passes, 0) - coalesce({{ kind }}_expected_passes, 0))
            / ({{ kind }}_films + {{ average_films() }})
        )::double precision as history_{{ kind }}_pass_lift,
        ({{ kind }}_female_share / nullif({{ kind }}_casts, 0))::double precision as history_{{ kind }}_cast_female_share{{ ',' if not loop.last }}
        {%- endfor %}
    from looked_up
)

select * from features
{% endmacro %}
