{#- The array when it holds something, else null: an empty list of a source means unknown, not nobody. -#}
{% macro known_array(column) -%}
    case when jsonb_typeof({{ column }}) = 'array' then nullif({{ column }}, '[]'::jsonb) end
{%- endmacro %}

{#- Not `=`: of that PostgreSQL expects one row in a hundred, and sorts where it had better hash. -#}
{% macro is_object(value) -%}
    case jsonb_typeof({{ value }}) when 'object' then true end
{%- endmacro %}

{#- The names in a json array, of texts or of objects with a `name`, as a json array of texts; null when there are none. -#}
{% macro json_names(column) -%}
    (
        select jsonb_agg(coalesce(element.item ->> 'name', element.item #>> '{}') order by element.position)
        from jsonb_array_elements({{ known_array(column) }}) with ordinality as element (item, position)
        where coalesce(element.item ->> 'name', element.item #>> '{}') != ''
    )
{%- endmacro %}
