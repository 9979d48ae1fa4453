{#- Words for people that are a role and no name: the commonest unnamed credits of TMDB casts, by our own reading. -#}
{% macro role_words() -%}
    {{ return([
        'girl', 'boy', 'woman', 'man', 'lady', 'guy', 'kid', 'child', 'baby', 'mother', 'father', 'mom', 'dad',
        'wife', 'husband', 'daughter', 'son', 'sister', 'brother', 'grandmother', 'grandfather', 'girlfriend',
        'boyfriend', 'bride', 'groom', 'nurse', 'doctor', 'waitress', 'waiter', 'bartender', 'barmaid', 'secretary',
        'receptionist', 'teacher', 'student', 'nun', 'priest', 'reporter', 'newscaster', 'anchorwoman', 'anchorman',
        'policeman', 'policewoman', 'cop', 'officer', 'detective', 'guard', 'soldier', 'driver', 'clerk', 'cashier',
        'maid', 'butler', 'prostitute', 'hooker', 'stripper', 'dancer', 'singer', 'model', 'neighbor', 'neighbour',
        'customer', 'patient', 'passenger', 'party guest', 'guest', 'bystander', 'extra', 'narrator', 'announcer',
        'judge', 'lawyer', 'hostess', 'stewardess', 'flight attendant', 'librarian', 'cheerleader', 'witch',
        'servant', 'villager', 'townsperson', 'townswoman', 'townsman', 'thug', 'henchman', 'pedestrian',
    ]) }}
{%- endmacro %}

{#-
    A character that is a role and no name: "Nurse", "Girl #2", "Town hall clerk (uncredited)", "Tim's mother",
    "Woman on bench", but not "Nurse Ratched" or "Mother Superior". Words are looked up first: the expression, which
    says where they stand, takes ten times as long, and most characters have none of them.
-#}
{% macro is_role_only(character) -%}
{%- set last_words = [] -%}
{%- for words in role_words() %}{% do last_words.append(words.split(' ')[-1]) %}{% endfor -%}
    (
        {{ character }} ~ '#\s?[0-9]|\s[0-9]+$|^\(|^Additional Voice'
        or exists (
            select from string_to_table(translate(lower({{ character }}), '(', ' '), ' ') as words (word)
            where words.word in ('{{ last_words | join("', '") }}', '{{ last_words | join("s', '") }}s')
        )
        and {{ character }} ~* (
            '^(the |a |an )?((young|old|older|elderly|little|pretty|angry|drunk|head|first|second|third|lead|another) )*'
            || '([a-z0-9''.-]+ ){0,3}({{ role_words() | join("|") }})s?'
            || '( (one|two|three|four|[a-d])| (at|on|in|with|from|of) .*| - .*)?\s*(\(.*\))?$'
        )
    )
{%- endmacro %}

{#-
    How likely somebody is a woman of whom neither gender nor first name says so: women's share of the first
    two people of real casts whose gender is known. A constant, so that no feature moves when films are added; nobody
    at all (0) instead would take the casts that TMDB knows least of for casts of men (docs/model.md).
-#}
{% macro usual_female_share() -%}0.36::double precision{%- endmacro %}

{#-
    The people of a cast in billing order: (billing_rank, gender, expected_female, is_role_only, credits_count).
    Each person once, by their first billing; `order` has gaps and ties, so the rank is counted anew.
    gender: woman, man, nonbinary, or null where TMDB has not set it.
    expected_female: 1 or 0 where the gender is known, else how often people of that first name are women.
-#}
{% macro cast_people(cast_members) %}
    select
        row_number() over (order by billed.billing_order, billed.position) as billing_rank,
        billed.gender,
        billed.credits_count,
        case
            when billed.gender is not null then (billed.gender = 'woman')::integer::double precision
            else {{ first_name_female_share('billed.first_name') }}
        end as expected_female,
        case when billed.gender = 'woman' and billed.character != '' then {{ is_role_only('billed.character') }} end as is_role_only
    from (
        select distinct on (coalesce(member.item ->> 'id', 'position ' || member.position))
            member.position,
            case
                when member.item ->> 'order' ~ '^[0-9]{1,6}$' then (member.item ->> 'order')::integer
            end as billing_order,
            case member.item ->> 'gender' when '1' then 'woman' when '2' then 'man' when '3' then 'nonbinary' end as gender,
            {{ first_name("member.item ->> 'name'") }} as first_name,
            member.item ->> 'character' as character,
            count(*) over (partition by coalesce(member.item ->> 'id', 'position ' || member.position)) as credits_count
        from jsonb_array_elements({{ cast_members }}) with ordinality as member (item, position)
        where jsonb_typeof(member.item) = 'object'
        order by coalesce(member.item ->> 'id', 'position ' || member.position), billing_order, member.position
    ) as billed
{% endmacro %}

{% macro movie_cast_features(movies) %}
{%- set tops = [3, 5, 10] -%}
{%- set likely_female = 'coalesce(person.expected_female, ' ~ usual_female_share() ~ ')' -%}
with movies as (
    select * from {{ movies }}
),

-- one pass over each cast
counted as (
    select
        movies.movie_id,
        movies.event_timestamp,
        movies.created_timestamp,
        movies.published_cast_female_share,
        people.*
    from movies
    cross join lateral (
        select
            {{ people_sums("'woman'") }},
            avg(person.expected_female) as expected_share,
            sum(person.expected_female / person.billing_rank)
            / sum(1.0::double precision / person.billing_rank) filter (where person.expected_female is not null)
                as expected_weighted_share,
            sum({{ likely_female }}) filter (where person.billing_rank <= 8) as top8_expected_women,
            sum({{ likely_female }} / person.billing_rank) as expected_weight,
            sum(({{ likely_female }} / person.billing_rank) ^ 2) as expected_squares,
            bool_or(person.gender = 'woman') filter (where person.billing_rank = 1) as top1_is_woman,
            {%- for top in tops %}
            count(person.gender) filter (where person.billing_rank <= {{ top }}) as top{{ top }}_known,
            count(*) filter (where person.billing_rank <= {{ top }} and person.gender = 'woman') as top{{ top }}_women,
            {%- endfor %}
            sum(1.0::double precision / person.billing_rank) filter (where person.gender is not null) as known_weight,
            sum(1.0::double precision / person.billing_rank) filter (where person.gender = 'woman') as women_weight,
            array_agg(person.billing_rank order by person.billing_rank) filter (where person.gender = 'woman') as women_ranks,
            count(*) filter (where not person.is_role_only) as named_women,
            count(*) filter (where person.is_role_only) as role_only_women
        from ({{ cast_people('movies.cast_members') }}) as person
    ) as people
),

features as (
    select
        -- ids
        movie_id,

        -- timestamps (UTC)
        event_timestamp,
        created_timestamp,

        -- the whole cast; null when the cast is unknown
        members as cast_members_count,
        case when members > 0 then known end as cast_known_gender_count,
        1 - known::double precision / members as cast_unknown_gender_share,
        case when known > 0 then women end as cast_female_count,
        women::double precision / nullif(known, 0) as cast_female_share,
        coalesce(women_weight, 0) / known_weight as cast_billing_weighted_female_share,
        {{ female_share_of_all('published_cast_female_share') }} as cast_female_share_of_all,
        expected_share as cast_expected_female_share,
        expected_weighted_share as cast_billing_weighted_expected_female_share,
        -- the square of a sum holds each pair twice and everybody with themselves; rounding may fall below 0
        case
            when members > 0 then greatest((expected_weight * expected_weight - expected_squares) / 2, 0)
        end as cast_billing_weighted_expected_female_pairs_count,

        -- by billing
        top1_is_woman as cast_top1_is_female,
        {%- for top in tops %}
        case when members > 0 then top{{ top }}_known end as cast_top{{ top }}_known_count,
        case when top{{ top }}_known > 0 then top{{ top }}_women end as cast_top{{ top }}_female_count,
        top{{ top }}_women::double precision / nullif(top{{ top }}_known, 0) as cast_top{{ top }}_female_share,
        {%- endfor %}
        top8_expected_women as cast_top8_expected_female_count,
        women_ranks[1] as cast_first_female_rank,
        women_ranks[2] as cast_second_female_rank,
        women_ranks[3] as cast_third_female_rank,

        -- named women against roles
        case when known > 0 then named_women end as cast_named_female_count,
        case when known > 0 then role_only_women end as cast_role_only_female_count,
        named_women::double precision / nullif(named_women + role_only_women, 0) as cast_named_female_share
    from counted
)

select * from features
{% endmacro %}
