{#- When the first load of each source into a raw table ended: docs/decisions/0010-two-clocks.md -#}
{% macro first_loads(target) -%}
    select
        source,
        min(finished_at) as finished_at
    from {{ source('raw', 'loads') }}
    where target = '{{ target }}'
    group by source
{%- endmacro %}
