{#-
    The newest state of a track record before a film: none is stamped earlier than the day after a film's release, so
    films of the same day and the film itself are not in it.
-#}
{% macro track_record_as_of(entity, key, value) %}
        left join lateral (
            select record.*
            from {{ ref('ftr_' ~ entity ~ '_track_record') }} as record
            where record.{{ key }} = {{ value }} and record.event_timestamp <= movies.history_until
            order by record.event_timestamp desc
            limit 1
        ) as record on true
{% endmacro %}

{% macro history_kinds() -%} {{ return(['director', 'writer', 'lead_actor', 'studio', 'genre', 'country']) }} {%- endmacro %}

{#- The track records of all that a film is credited with: (kind, films_count, passes_count, ...), a row for each. -#}
{% macro track_records_of_film() %}
{%- set columns = ['films_count', 'passes_count', 'expected_passes', 'casts_count', 'cast_female_share'] -%}
        select
            role.kind
            {%- for column in columns %},
            case role.kind
                when 'director' then record.person_director_{{ column }} else record.person_writer_{{ column }}
            end as {{ column }}
            {%- endfor %}
        from ({{ crew_keys('movies.crew_members') }}) as person
        {{ track_record_as_of('person', 'person_id', 'person.person_id') }}
        cross join (values ('director'), ('writer')) as role (kind)
        where case role.kind when 'director' then person.is_director else person.is_writer end
        union all
        select 'lead_actor' as kind {%- for column in columns %}, record.person_lead_{{ column }}{% endfor %}
        from ({{ lead_actor_key('movies.cast_members') }}) as person
        {{ track_record_as_of('person', 'person_id', 'person.person_id') }}
    {%- for kind, entity, column in [
        ('studio', 'company', 'companies'), ('genre', 'genre', 'genres'), ('country', 'country', 'countries')
    ] %}
        union all
        select '{{ kind }}' as kind {%- for column in columns %}, record.{{ entity }}_{{ column }}{% endfor %}
        from ({{ name_keys('movies.' ~ column) }}) as listed
        {{ track_record_as_of(entity, entity ~ '_name', 'listed.name') }}
    {%- endfor %}
{% endmacro %}

{#- Numeric sums: they do not depend on the order of what is summed. -#}
{% macro history_sums() %}
    select
        {%- for kind in history_kinds() %}
        {%- set of_kind = "filter (where record.kind = '" ~ kind ~ "')" %}
        case
            when count(*) {{ of_kind }} > 0 then coalesce(sum(record.films_count) {{ of_kind }}, 0)
        end as {{ kind }}_films,
        sum(record.passes_count) {{ of_kind }} as {{ kind }}_passes,
        sum(record.expected_passes::numeric) {{ of_kind }} as {{ kind }}_expected_passes,
        sum(record.casts_count) {{ of_kind }} as {{ kind }}_casts,
        sum((record.cast_female_share * record.casts_count)::numeric) {{ of_kind }} as {{ kind }}_female_share{{ ',' if not loop.last }}
        {%- endfor %}
    from ({{ track_records_of_film() }}) as record
{% endmacro %}

{% macro history_columns() %}
    -- films released strictly earlier
    {%- for kind in history_kinds() %}
    in_history.{{ kind }}_films::bigint as history_{{ kind }}_films_count,
    (in_history.{{ kind }}_passes / nullif(in_history.{{ kind }}_films, 0))::double precision as history_{{ kind }}_pass_share,
    (
        (coalesce(in_history.{{ kind }}_passes, 0) - coalesce(in_history.{{ kind }}_expected_passes, 0))
        / (in_history.{{ kind }}_films + {{ average_films() }})
    )::double precision as history_{{ kind }}_pass_lift,
    (in_history.{{ kind }}_female_share / nullif(in_history.{{ kind }}_casts, 0))::double precision as history_{{ kind }}_cast_female_share{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{#- Of films with `history_until`: the moment before which a film that counts was released. -#}
{% macro movie_history_features(movies) -%}
    {{ film_features(movies, history_columns(), history_sums(), 'in_history') }}
{%- endmacro %}
