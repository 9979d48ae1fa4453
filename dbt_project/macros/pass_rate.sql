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

{#-
    Pass rate by the names in a list of the film, such as its countries; a film counts under each of them once.
    beside: another column to group by; fewest: groups of fewer films are left out, their share says next to nothing.
-#}
{% macro pass_rate_by_listed(names, name, beside=none, fewest=1) -%}
with ratings as (
    select * from {{ ref('fct_ratings') }}
),

counted as (
    select
        listed.name as {{ name }},
        {%- if beside %}
        ratings.{{ beside }},
        {%- endif %}
        {{ pass_rate_columns('ratings.passes') }},
        avg(ratings.cast_female_share) as mean_cast_female_share
    from ratings
    cross join lateral ({{ name_keys('ratings.' ~ names) }}) as listed
    group by listed.name{{ ', ratings.' ~ beside if beside }}
    having count(*) >= {{ fewest }}
)

select * from counted
{%- endmacro %}
