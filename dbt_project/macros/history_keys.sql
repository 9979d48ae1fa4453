{#-
    Whose track records a film is asked for. Each macro is a subquery of one film; the tables of track records and the
    features of a film, historic or live, read their keys here, so that nobody is credited in one and not in the other.
-#}

{#- Directors and writers: (person_id, is_director, is_writer), each person once. -#}
{% macro crew_keys(crew_members) %}
    select
        (credit.item ->> 'id')::bigint as person_id,
        {%- for role in ['director', 'writer'] %}
        bool_or(credit.item ->> 'job' in ('{{ crew_roles()[role] | join("', '") }}')) as is_{{ role }}{{ ',' if not loop.last }}
        {%- endfor %}
    from jsonb_array_elements({{ crew_members }}) as credit (item)
    where  -- `case`: PostgreSQL checks every id first otherwise, and of two hundred people few direct or write
        case
            when credit.item ->> 'job' in ('{{ (crew_roles()["director"] + crew_roles()["writer"]) | join("', '") }}')
                then credit.item ->> 'id' ~ '^[0-9]{1,18}$'
        end
    group by credit.item ->> 'id'
{% endmacro %}

{#-
    The lead actor, who is billed first: (person_id), one row or none. Nearly always that is the first of the list, whose
    `order` is 0; nobody can be billed before, and the others need not be looked at.
-#}
{% macro lead_actor_key(cast_members) %}
    select (lead.item ->> 'id')::bigint as person_id
    from (
        select {{ cast_members }} -> case
            when {{ cast_members }} -> 0 ->> 'order' = '0' then 0
            else (
                select (min({{ billing_place("member.item ->> 'order'", "member.position") }}) % 1000000)::integer - 1
                from jsonb_array_elements({{ cast_members }}) with ordinality as member (item, position)
                where {{ is_object('member.item') }}
            )
        end as item
    ) as lead
    where lead.item ->> 'id' ~ '^[0-9]{1,18}$'
{% endmacro %}

{#- Names of a list of the film, each once: (name). -#}
{% macro name_keys(names) %}
    select distinct listed.name
    from jsonb_array_elements_text({{ names }}) as listed (name)
{% endmacro %}
