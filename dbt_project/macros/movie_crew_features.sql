{#- Which TMDB jobs make a role. Writers are who wrote this script; the author of the novel behind it is not. -#}
{% macro crew_roles() -%}
    {{ return({
        'director': ['Director', 'Co-Director'],
        'writer': ['Writer', 'Screenplay', 'Story', 'Author', 'Co-Writer', 'Teleplay', 'Screenstory', 'Scenario Writer',
                   'Adaptation', 'Dialogue'],
        'producer': ['Producer', 'Executive Producer', 'Co-Producer'],
        'editor': ['Editor', 'Co-Editor'],
    }) }}
{%- endmacro %}

{% macro movie_crew_features(movies) %}
with movies as (
    select * from {{ movies }}
),

-- one pass over each crew: first its credits by person (one person has many jobs), then the people
counted as (
    select
        movies.movie_id,
        movies.event_timestamp,
        movies.created_timestamp,
        movies.published_crew_female_share,
        people.*
    from movies
    cross join lateral (
        select
            {{ people_sums("'1'") }}
            {%- for role in crew_roles() %},
            nullif(count(*) filter (where person.is_{{ role }}), 0) as {{ role }}s,
            count(person.gender) filter (where person.is_{{ role }}) as {{ role }}s_known,
            count(*) filter (where person.is_{{ role }} and person.gender = '1') as {{ role }}s_women
            {%- endfor %}
        from (
            select
                count(*) as credits_count,
                max(credit.gender) filter (where credit.gender in ('1', '2', '3')) as gender
                {%- for role, jobs in crew_roles().items() %},
                bool_or(credit.job in ('{{ jobs | join("', '") }}')) as is_{{ role }}
                {%- endfor %}
            from (
                select
                    coalesce(member.item ->> 'id', 'position ' || member.position) as person,
                    member.item ->> 'gender' as gender,
                    member.item ->> 'job' as job
                from jsonb_array_elements(movies.crew_members) with ordinality as member (item, position)
                where jsonb_typeof(member.item) = 'object'
                offset 0  -- so that each is taken out of the json once
            ) as credit
            group by credit.person
        ) as person
    ) as people
),

features as (
    select
        -- ids
        movie_id,

        -- timestamps (UTC)
        event_timestamp,
        created_timestamp,

        -- the whole crew; null when the crew is unknown
        members as crew_members_count,
        1 - known::double precision / members as crew_unknown_gender_share,
        women::double precision / nullif(known, 0) as crew_female_share,
        {{ female_share_of_all('published_crew_female_share') }} as crew_female_share_of_all,

        -- by role; null when nobody is credited with it
        {%- for role in crew_roles() %}
        {{ role }}s as crew_{{ role }}s_count,
        case when {{ role }}s > 0 then {{ role }}s_known end as crew_{{ role }}s_known_gender_count,
        case when {{ role }}s_known > 0 then {{ role }}s_women end as crew_female_{{ role }}s_count,
        {{ role }}s_women::double precision / nullif({{ role }}s_known, 0) as crew_female_{{ role }}s_share,
        {%- endfor %}

        -- a woman in the role; null when not one person's gender is known
        case when directors_known > 0 then directors_women > 0 end as crew_has_female_director,
        case when writers_known > 0 then writers_women > 0 end as crew_has_female_writer
    from counted
)

select * from features
{% endmacro %}
