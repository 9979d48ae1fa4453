{#- Which TMDB jobs make a role, each job one. Writers are who wrote this script; the author of the novel behind it is not. -#}
{% macro crew_roles() -%}
    {{ return({
        'director': ['Director', 'Co-Director'],
        'writer': ['Writer', 'Screenplay', 'Story', 'Author', 'Co-Writer', 'Teleplay', 'Screenstory', 'Scenario Writer',
                   'Adaptation', 'Dialogue'],
        'producer': ['Producer', 'Executive Producer', 'Co-Producer'],
        'editor': ['Editor', 'Co-Editor'],
    }) }}
{%- endmacro %}

{#- One pass over the crew of a film: first its credits by person (one person has many jobs), then the people. -#}
{% macro crew_sums() %}
    select
        {{ people_sums() }}
        {%- for role in crew_roles() %},
        nullif(count(*) filter (where person.is_{{ role }}), 0) as {{ role }}s,
        count(person.gender) filter (where person.is_{{ role }}) as {{ role }}s_known,
        count(*) filter (where person.is_{{ role }} and person.gender = 1) as {{ role }}s_women
        {%- endfor %}
    from (
        select
            count(*) as credits_count,
            max(case credit.gender when '1' then 1 when '2' then 2 when '3' then 3 end) as gender
            {%- for role in crew_roles() %},
            bool_or(credit.role = '{{ role }}') as is_{{ role }}
            {%- endfor %}
        from (
            select
                coalesce(member.id, 'position ' || member.position) as person,
                member.gender,
                {{ groups_by_text(crew_roles()) }} ->> member.job as role
            from {{ json_objects('movies.crew_members', ['id', 'gender', 'job']) }} as member (id, gender, job, position)
            offset 0  -- so that the role is looked up once
        ) as credit
        group by credit.person
    ) as person
{% endmacro %}

{% macro crew_columns() %}
    -- the whole crew; null when the crew is unknown
    in_crew.members as crew_members_count,
    1 - in_crew.known::double precision / in_crew.members as crew_unknown_gender_share,
    in_crew.women::double precision / nullif(in_crew.known, 0) as crew_female_share,
    {{ female_share_of_all('in_crew', 'movies.published_crew_female_share') }} as crew_female_share_of_all,

    -- by role; null when nobody is credited with it
    {%- for role in crew_roles() %}
    in_crew.{{ role }}s as crew_{{ role }}s_count,
    case when in_crew.{{ role }}s > 0 then in_crew.{{ role }}s_known end as crew_{{ role }}s_known_gender_count,
    case when in_crew.{{ role }}s_known > 0 then in_crew.{{ role }}s_women end as crew_female_{{ role }}s_count,
    in_crew.{{ role }}s_women::double precision / nullif(in_crew.{{ role }}s_known, 0) as crew_female_{{ role }}s_share,
    {%- endfor %}

    -- a woman in the role; null when not one person's gender is known
    case when in_crew.directors_known > 0 then in_crew.directors_women > 0 end as crew_has_female_director,
    case when in_crew.writers_known > 0 then in_crew.writers_women > 0 end as crew_has_female_writer
{%- endmacro %}

{% macro movie_crew_features(movies) -%}
    {{ film_features(movies, crew_columns(), crew_sums(), 'in_crew') }}
{%- endmacro %}
