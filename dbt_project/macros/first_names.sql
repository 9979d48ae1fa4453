{#- The first word of a person's name, in lower case: what `int_first_names` is looked up by. -#}
{% macro first_name(name) -%}
    split_part(lower(trim({{ name }})), ' ', 1)
{%- endmacro %}

{#-
    The share of women, 0 to 1, among people with a known gender and this first name; null for a rare name.
    A subquery and not a join, so that one film asks the table's index a few times instead of reading it whole.
-#}
{% macro first_name_female_share(first_name) -%}
    (
        select names.female_share
        from {{ ref('int_first_names') }} as names
        where names.first_name = {{ first_name }}
    )
{%- endmacro %}

{#-
    First names that in an overview are often no person. First those that are words too: in 7,044 real overviews one in
    five or more stands in lower case. Then places, months and parts of a surname, by our own reading of the commonest.
-#}
{% macro names_that_are_words() -%}
    {{ return([
        'al', 'angel', 'art', 'beau', 'big', 'bud', 'buddy', 'candy', 'cliff', 'crystal', 'dawn', 'dean',
        'del', 'don', 'duke', 'faith', 'grant', 'guy', 'hope', 'hunter', 'jewel', 'joy', 'justice', 'king',
        'lane', 'may', 'merry', 'miles', 'oh', 'page', 'park', 'raven', 'red', 'rex', 'rich', 'rob', 'rock',
        'rocky', 'rusty', 'sage', 'song', 'summer', 'sunny', 'tiny', 'wade', 'will', 'wolf',
        'april', 'august', 'austin', 'india', 'israel', 'june', 'van',
    ]) }}
{%- endmacro %}
