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
    How many words a text has, and how many of them are about women and about men; null for an unknown text.
    One pass over its words: a regular expression of seventy words, asked six times, took three times as long.
-#}
{% macro words_counts(column, name) %}
    select
        case when {{ column }} is not null then count(*) end as {{ name }}_words
        {%- for gender in ['female', 'male'] %},
        case
            when {{ column }} is not null
                then count(*) filter (where words.word in ('{{ gendered_words(gender) | join("', '") }}'))
        end as {{ name }}_{{ gender }}
        {%- endfor %}
    from regexp_split_to_table(lower({{ column }}), '\W+') as words (word)
    where words.word != ''
{%- endmacro %}

{#-
    A film's texts as one, for a model to read: first names and the surnames after them give way to `female_name` and
    `male_name`, so that what is told of any woman is told of all. After the words come the mentions of women and men
    in their order (`first_female female_to_male`), then what stands right after and before each of them
    (`female_then_falls`, `female_after_young`). Null when all three texts are.
-#}
{% macro story(title, tagline, overview) -%}
    with found as (
        select
            word.place,
            word.matches[1] as word,
            word.matches[1] ~ '^[[:upper:]][[:lower:]]+$' as is_capitalised,
            lag(word.matches[2]) over (order by word.place) ~ '^\s+$' as is_joined
        from regexp_matches(concat_ws(' . ', {{ title }}, {{ tagline }}, {{ overview }}), '(\w\w+)(\W*)', 'g')
            with ordinality as word (matches, place)
    ),

    named as (
        select
            *,
            case
                when is_capitalised and lower(word) not in ('{{ names_that_are_words() | join("', '") }}')
                    then {{ first_name_female_share('lower(found.word)') }}
            end as female_share
        from found
    ),

    translated as (
        select
            place,
            case when female_share >= 0.8 then 'female_name' when female_share <= 0.2 then 'male_name' else lower(word) end as word,
            is_capitalised and is_joined
            and coalesce(female_share, 0.5) between 0.2 and 0.8
            and lag(coalesce(female_share, 0.5)) over (order by place) not between 0.2 and 0.8 as is_surname
        from named
    ),

    told as (
        select
            place,
            word,
            case
                {%- for gender in ['female', 'male'] %}
                when word in ('{{ gender }}_name', '{{ gendered_words(gender) | join("', '") }}') then '{{ gender }}'
                {%- endfor %}
            end as gender,
            lead(word, 1) over (order by place) as next_word,
            lead(word, 2) over (order by place) as second_next_word,
            lag(word, 1) over (order by place) as last_word,
            lag(word, 2) over (order by place) as second_last_word
        from translated
        where not coalesce(is_surname, false)
    ),

    mentions as (
        select
            string_agg(mention.step, ' ' order by mention.place) as steps,
            string_agg(mention.after, ' ' order by mention.place) as after,
            string_agg(mention.before, ' ' order by mention.place) as before
        from (
            select
                place,
                coalesce(lag(gender) over (order by place) || '_to_', 'first_') || gender as step,
                nullif(concat_ws(' ', gender || '_then_' || next_word, gender || '_then_' || second_next_word), '') as after,
                nullif(concat_ws(' ', gender || '_after_' || last_word, gender || '_after_' || second_last_word), '') as before
            from told
            where gender is not null
        ) as mention
    )

    select concat_ws(' . ', words.told, mentions.steps, mentions.after, mentions.before) as story
    from (select string_agg(word, ' ' order by place) as told from told) as words
    cross join mentions
{%- endmacro %}

{% macro movie_text_features(movies) %}
{%- set texts = ['title', 'tagline', 'overview'] -%}
with movies as (
    select * from {{ movies }}
),

counted as (
    select
        movies.movie_id,
        movies.event_timestamp,
        movies.created_timestamp,
        movies.title,
        movies.tagline,
        movies.overview,
        {%- for text in texts %}
        {{ text }}_counts.*,
        {%- endfor %}
        names.*,
        nullif(stories.story, '') as story
    from movies
    {%- for text in texts %}
    cross join lateral ({{ words_counts('movies.' ~ text, text) }}) as {{ text }}_counts
    {%- endfor %}
    cross join lateral (
        select
            count(*) filter (where name.female_share >= 0.8) as overview_female_names,
            count(*) filter (where name.female_share <= 0.2) as overview_male_names
        from ({{ names_in_text('movies.overview') }}) as name
    ) as names
    cross join lateral ({{ story('movies.title', 'movies.tagline', 'movies.overview') }}) as stories
),

features as (
    select
        -- ids
        movie_id,

        -- timestamps (UTC)
        event_timestamp,
        created_timestamp,

        -- the texts themselves, for the model's own encoding
        title as text_title,
        tagline as text_tagline,
        overview as text_overview,
        story as text_story,

        -- length
        title_words as text_title_words_count,
        tagline_words as text_tagline_words_count,
        overview_words as text_overview_words_count,

        -- first names
        case when overview is not null then overview_female_names end as text_overview_female_names_count,
        case when overview is not null then overview_male_names end as text_overview_male_names_count,
        (overview_female_names - overview_male_names)::double precision
        / nullif(overview_female_names + overview_male_names, 0) as text_overview_names_gender_balance,

        -- gendered words
        {%- for text in texts %}
        {{ text }}_female as text_{{ text }}_female_words_count,
        {{ text }}_male as text_{{ text }}_male_words_count,
        ({{ text }}_female - {{ text }}_male)::double precision
        / nullif({{ text }}_female + {{ text }}_male, 0) as text_{{ text }}_gender_balance,
        {%- endfor %}
        100.0::double precision * overview_female / nullif(overview_words, 0) as text_overview_female_words_per_100,
        100.0::double precision * overview_male / nullif(overview_words, 0) as text_overview_male_words_per_100
    from counted
)

select * from features
{% endmacro %}
