{#-
    How many films passed, as columns: the count, the share, and its 95 % interval by Wilson (1927), which stays between
    0 and 1 and says honestly how little a few films tell.
-#}
{% macro pass_rate_columns(passes='passes') -%}
        {%- set share -%}avg({{ passes }}::integer)::double precision{%- endset -%}
        {%- set z = 1.96 -%}
        count(*) as films_count,
        count(*) filter (where {{ passes }}) as passes_count,
        {{ share }} as pass_share,
        {%- for side, sign in {'low': '-', 'high': '+'}.items() %}
        {{ 'greatest(0, ' if side == 'low' else 'least(1, ' }}(  {#- rounding would leave the range by 1e-16 #}
            {{ share }} + {{ z * z / 2 }} / count(*)
            {{ sign }} {{ z }} * sqrt(({{ share }} * (1 - {{ share }}) + {{ z * z / 4 }} / count(*)) / count(*))
        ) / (1 + {{ z * z }} / count(*))) as pass_{{ side }}_share{{ ',' if not loop.last }}
        {%- endfor %}
{%- endmacro %}
