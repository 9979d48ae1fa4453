{#- No two rows share these columns. -#}
{% test grain(model, columns) %}
select {{ columns | join(', ') }}
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}

{#-
    Every column keeps the range its name promises: `_share` 0 to 1, `_balance` and `_lift` -1 to 1, `_count`, `_rank`, `_minutes`
    and `_per_100` not negative. A new column is checked without anybody having to ask for it.
-#}
{% test named_ranges(model) %}
{%- set conditions = ['false'] -%}
{%- for column in adapter.get_columns_in_relation(model) -%}
    {%- set name = column.name -%}
    {%- if name.endswith('_share') %}{% do conditions.append(name ~ ' not between 0 and 1') %}
    {%- elif name.endswith('_balance') or name.endswith('_lift') %}{% do conditions.append(name ~ ' not between -1 and 1') %}
    {%- elif name.endswith('_rank') %}{% do conditions.append(name ~ ' < 1') %}
    {%- elif name.endswith('_count') or name.endswith('_minutes') or name.endswith('_per_100') %}
        {%- do conditions.append(name ~ ' < 0') %}
    {%- endif -%}
{%- endfor %}
select *
from {{ model }}
where {{ conditions | join(' or ') }}
{% endtest %}

{#- No row is stamped later than this moment. -#}
{% test not_in_the_future(model, column_name) %}
select *
from {{ model }}
where {{ column_name }} > now()
{% endtest %}

{#- The column stays between both ends, ends included; null is fine. -#}
{% test accepted_range(model, column_name, lowest, highest) %}
select *
from {{ model }}
where {{ column_name }} not between {{ lowest }} and {{ highest }}
{% endtest %}
