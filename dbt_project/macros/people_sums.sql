{#- What is counted of the people of a cast or crew, each once; `person` has gender (1: a woman, null: unknown) and credits_count. -#}
{% macro people_sums() -%}
        nullif(count(*), 0) as members,
        count(person.gender) as known,
        count(*) filter (where person.gender = 1) as women,
        sum(person.credits_count) as credits,
        sum(person.credits_count) filter (where person.gender = 1) as female_credits
{%- endmacro %}

{#- Women among all credits, those of unknown gender too; without a list the figure that the source has published. -#}
{% macro female_share_of_all(sums, published) -%}
    case
        when {{ sums }}.members > 0
            then (coalesce({{ sums }}.female_credits, 0) / {{ sums }}.credits)::double precision
        else {{ published }}
    end
{%- endmacro %}
