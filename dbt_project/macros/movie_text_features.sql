{#-
    Words that are about a woman or a man by their meaning. Source: the definitional and the equalize pairs of
    Bolukbasi, Chang, Zou, Saligrama and Kalai, "Man is to Computer Programmer as Woman is to Homemaker? Debiasing Word
    Embeddings", NeurIPS 2016 (https://github.com/tolga-b/debiaswe, data/), without its given names, animals, organs and
    convents, and with its underscored pairs as one word. Ours besides: the singular or plural that a pair there lacks
    (wife, aunts, dude, ...), him, hers, mum, girlfriend and boyfriend, bride and groom, widow and widower, heroine and
    hero, actress and actor, since plots are full of them.
    English only: overviews are asked for in English, so another language counts as a text without such words.
-#}
{% macro gendered_words(gender) -%}
    {{ return({
        'female': [
            'she', 'her', 'hers', 'herself', 'woman', 'women', 'girl', 'girls', 'mother', 'mothers', 'motherhood', 'mom', 'moms',
            'mum', 'daughter', 'daughters', 'sister', 'sisters', 'wife', 'wives', 'aunt', 'aunts', 'niece', 'nieces', 'grandmother',
            'grandma', 'granny', 'granddaughter', 'granddaughters', 'lady', 'ladies', 'gal', 'gals', 'female', 'females', 'queen',
            'queens', 'princess', 'princesses', 'businesswoman', 'chairwoman', 'congresswoman', 'councilwoman', 'spokeswoman',
            'schoolgirl', 'sorority', 'nun', 'girlfriend', 'girlfriends', 'bride', 'brides', 'widow', 'widows', 'heroine',
            'actress', 'actresses',
        ],
        'male': [
            'he', 'him', 'his', 'himself', 'man', 'men', 'boy', 'boys', 'father', 'fathers', 'fatherhood', 'dad', 'dads', 'son',
            'sons', 'brother', 'brothers', 'husband', 'husbands', 'uncle', 'uncles', 'nephew', 'nephews', 'grandfather', 'grandpa',
            'grandson', 'grandsons', 'gentleman', 'gentlemen', 'guy', 'guys', 'dude', 'dudes', 'fella', 'male', 'males', 'king',
            'kings', 'prince', 'princes', 'businessman', 'chairman', 'congressman', 'councilman', 'spokesman', 'schoolboy',
            'fraternity', 'priest', 'boyfriend', 'boyfriends', 'groom', 'grooms', 'widower', 'widowers', 'hero', 'actor', 'actors',
        ],
    }[gender]) }}
{%- endmacro %}

{#-
    A text with spaces alone between its words, one or more; a word that something other than white space follows, the
    text's end too, has a point behind it. What stands between words is found by expressions, once for the whole text,
    and words then by a plain split: an expression for each word took twice as long.
-#}
{% macro spaced_words(text) -%}
    regexp_replace(regexp_replace({{ text }} || '.', '\s*[^\w\s]+', '. ', 'g'), '[^\w .]+', ' ', 'g')
{%- endmacro %}

{#-
    A film's texts, word by word in one pass: how many words each text has and how many of them are about women and
    men, the first names in the overview, and `told`: the words for `story`, each beside whom it is about.

    In `told`, first names and the surnames after them give way to `female_name` and `male_name`, so that what is told
    of any woman is told of all. A surname is a capitalised word that is no clear first name and follows one after
    white space alone; words of one letter are neither told nor stand in between: their `told_place` is before all others.

    `offset 0` keeps the planner from asking for the same name once for each use. Around the aggregates there must be no
    other select: PostgreSQL would compute this for who selects no text (docs/decisions/0016-one-live-view.md).
-#}
{% macro words_of(texts) %}
{%- set meanings = {'female': gendered_words('female'), 'male': gendered_words('male')} -%}
    select
        {%- for text in texts %}
        {%- set number = loop.index %}
        count(*) filter (where text_number = {{ number }}) as {{ text }}_words,
        {%- for gender in ['female', 'male'] %}
        count(*) filter (where text_number = {{ number }} and meaning = '{{ gender }}') as {{ text }}_{{ gender }},
        {%- endfor %}
        {%- if text == 'overview' %}
        {%- for gender in ['female', 'male'] %}
        (
            select count(distinct listed.name)
            from unnest(
                array_agg(word) filter (where text_number = {{ number }} and name_gender = '{{ gender }}')
            ) as listed (name)
        ) as {{ text }}_{{ gender }}_names,
        {%- endfor %}
        {%- endif %}
        {%- endfor %}
        array_agg(coalesce(name_gender || '_name', word) order by told_place) filter (where is_told) as told,
        array_agg(coalesce(name_gender, meaning) order by told_place) filter (where is_told) as told_genders
    from (
        select
            *,
            length(word) > 1
            and not (
                is_capitalised
                and name_gender is null
                and lag(case when not is_end then name_gender end) over words_before is not null
            ) as is_told
        from (
            select
                *,
                case when female_share >= 0.8 then 'female' when female_share <= 0.2 then 'male' end as name_gender,
                {{ groups_by_text(meanings) }} ->> word as meaning
            from (
                select
                    *,
                    case when length(word) > 1 then text_number else 0 end * 1000000 + place as told_place,
                    case
                        when is_capitalised and not '{{ tojson(names_that_are_words()) }}'::jsonb ? word
                            then {{ first_name_female_share('piece.word') }}
                    end as female_share
                from (
                    select
                        text_number,
                        place,
                        token != written as is_end,
                        lower(written) as word,
                        written != lower(written) and written ~ '^[[:upper:]][[:lower:]]+$' as is_capitalised
                    from (
                        select
                            texts.text_number,
                            words.place,
                            words.token,
                            rtrim(words.token, '.') as written
                        from (
                            values
                            {%- for text in texts %}
                            ({{ loop.index }}, movies.{{ text }}){{ ',' if not loop.last }}
                            {%- endfor %}
                        ) as texts (text_number, content)
                        cross join lateral string_to_table({{ spaced_words('texts.content') }}, ' ')
                            with ordinality as words (token, place)
                        offset 0
                    ) as cut
                    where written != ''
                    offset 0
                ) as piece
                offset 0
            ) as named
        ) as meant
        window words_before as (order by told_place)
    ) as word
{%- endmacro %}

{#-
    A film's texts as one, for a model to read: the words that are told, then the mentions of women and men in their
    order (`first_female female_to_male`), then what stands right after and before each of them (`female_then_falls`,
    `female_after_young`). Empty when there is no text.
-#}
{% macro story(told, told_genders) -%}
    select
        concat_ws(
            ' . ',
            array_to_string({{ told }}, ' '),
            string_agg(step, ' ' order by place),
            string_agg(after, ' ' order by place),
            string_agg(before, ' ' order by place)
        ) as story
    from (
        select
            place,
            coalesce(lag(gender) over (order by place) || '_to_', 'first_') || gender as step,
            {%- for side, sign in [('then', '+'), ('after', '-')] %}
            nullif(
                concat_ws(
                    ' ',
                    gender || '_{{ side }}_' || {{ told }}[place {{ sign }} 1],
                    gender || '_{{ side }}_' || {{ told }}[place {{ sign }} 2]
                ),
                ''
            ) as {{ 'after' if side == 'then' else 'before' }}{{ ',' if not loop.last }}
            {%- endfor %}
        from unnest({{ told_genders }}) with ordinality as mention (gender, place)
        where gender is not null
    ) as mentions
{%- endmacro %}

{% macro told_texts() -%} {{ return(['title', 'tagline', 'overview']) }} {%- endmacro %}

{% macro text_sums() %}{{ words_of(told_texts()) }}{% endmacro %}

{% macro text_columns() %}
    -- the texts themselves, for the model's own encoding
    {%- for text in told_texts() %}
    movies.{{ text }} as text_{{ text }},
    {%- endfor %}
    nullif(({{ story('in_text.told', 'in_text.told_genders') }}), '') as text_story,

    -- length
    {%- for text in told_texts() %}
    case when movies.{{ text }} is not null then in_text.{{ text }}_words end as text_{{ text }}_words_count,
    {%- endfor %}

    -- first names
    {%- for gender in ['female', 'male'] %}
    case when movies.overview is not null then in_text.overview_{{ gender }}_names end
        as text_overview_{{ gender }}_names_count,
    {%- endfor %}
    (in_text.overview_female_names - in_text.overview_male_names)::double precision
    / nullif(in_text.overview_female_names + in_text.overview_male_names, 0) as text_overview_names_gender_balance,

    -- gendered words
    {%- for text in told_texts() %}
    {%- for gender in ['female', 'male'] %}
    case when movies.{{ text }} is not null then in_text.{{ text }}_{{ gender }} end
        as text_{{ text }}_{{ gender }}_words_count,
    {%- endfor %}
    (in_text.{{ text }}_female - in_text.{{ text }}_male)::double precision
    / nullif(in_text.{{ text }}_female + in_text.{{ text }}_male, 0) as text_{{ text }}_gender_balance,
    {%- endfor %}
    {%- for gender in ['female', 'male'] %}
    100.0::double precision * in_text.overview_{{ gender }} / nullif(in_text.overview_words, 0)
        as text_overview_{{ gender }}_words_per_100{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{% macro movie_text_features(movies) -%}
    {{ film_features(movies, text_columns(), text_sums(), 'in_text') }}
{%- endmacro %}
