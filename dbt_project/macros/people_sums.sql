{#- What is counted of the people of a cast or crew, each once; `person` has gender (null: not known) and credits_count. -#}
{% macro people_sums(woman) -%}
            nullif(count(*), 0) as members,
            count(person.gender) as known,
            count(*) filter (where person.gender = {{ woman }}) as women,
            sum(person.credits_count) as credits,
            sum(person.credits_count) filter (where person.gender = {{ woman }}) as female_credits
{%- endmacro %}

{#- Women among all credits, those of unknown gender too; without a list the figure that the source has published. -#}
{% macro female_share_of_all(published) -%}
        case
            when members > 0 then (coalesce(female_credits, 0) / credits)::double precision
            else {{ published }}
        end
{%- endmacro %}
