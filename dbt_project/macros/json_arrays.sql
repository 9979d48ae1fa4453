{#- The array when it holds something, else null: an empty list of a source means unknown, not nobody. -#}
{% macro known_array(column) -%}
    case when jsonb_typeof({{ column }}) = 'array' then nullif({{ column }}, '[]'::jsonb) end
{%- endmacro %}

{#- Whether a json value is an object. Not by `=`: of that PostgreSQL expects one row in a hundred, and sorts where it had better hash. -#}
{% macro is_object(value) -%}
    case jsonb_typeof({{ value }}) when 'object' then true end
{%- endmacro %}

{#- From `{group: [text, ...]}`, each text in one group: a json constant in which `->> text` finds the group. -#}
{% macro groups_by_text(groups) -%}
    {%- set group_of = {} -%}
    {%- for group, texts in groups.items() %}{% for text in texts %}{% do group_of.update({text: group}) %}{% endfor %}{% endfor -%}
    '{{ tojson(group_of) }}'::jsonb
{%- endmacro %}

{#- The names in a json array, of objects with a `name` or of texts, as a json array of texts; null when there are none. -#}
{% macro json_names(column) -%}
    coalesce(
        nullif(jsonb_path_query_array({{ known_array(column) }}, '$[*].name ? (@.type() == "string" && @ != "")'), '[]'),
        nullif(jsonb_path_query_array({{ known_array(column) }}, '$[*] ? (@.type() == "string" && @ != "")'), '[]')
    )
{%- endmacro %}

{#-
    The objects of a json array as rows, their fields as texts and last their place in the list; what is no object is
    left out. One function takes all fields of an object at once, in less time than a `->>` for each. sqlfluff cannot
    read `rows from`: hence `noqa: PRS` in models with it.
-#}
{% macro json_objects(list, fields) -%}
    rows from (
        jsonb_to_recordset(
            case
                when {{ list }} @? 'strict $[*] ? (@.type() != "object")'
                    then jsonb_path_query_array({{ list }}, 'strict $[*] ? (@.type() == "object")')
                else {{ list }}
            end
        ) as ({% for field in fields %}"{{ field }}" text{{ ', ' if not loop.last }}{% endfor %})
    ) with ordinality
{%- endmacro %}
