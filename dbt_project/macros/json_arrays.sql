{#- The array when it holds something, else null: an empty list of a source means unknown, not nobody. -#}
{% macro known_array(column) -%}
    case when jsonb_typeof({{ column }}) = 'array' then nullif({{ column }}, '[]'::jsonb) end
{%- endmacro %}

{#- Whether a json value is an object. Not by `=`: of that PostgreSQL expects one row in a hundred, and sorts where it had better hash. -#}
{% macro is_object(value) -%}
    case jsonb_typeof({{ value }}) when 'object' then true end
{%- endmacro %}

{#- The names in a json array, of objects with a `name` or of texts, as a json array of texts; null when there are none. -#}
{% macro json_names(column) -%}
    coalesce(
        nullif(jsonb_path_query_array({{ known_array(column) }}, '$[*].name ? (@.type() == "string" && @ != "")'), '[]'),
        nullif(jsonb_path_query_array({{ known_array(column) }}, '$[*] ? (@.type() == "string" && @ != "")'), '[]')
    )
{%- endmacro %}
