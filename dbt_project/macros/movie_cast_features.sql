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
    "Woman on bench", but not "Nurse Ratched" or "Mother Superior". Expressions say where words and numbers stand, but
    only in characters that hold one of these words, a `#` or a last digit: they take ten times as long as looking for it.
-#}
{% macro is_role_only(character) -%}
{%- set last_words = {} -%}
{%- for words in role_words() %}{% do last_words.update({words.split(' ')[-1]: 1, words.split(' ')[-1] ~ 's': 1}) %}{% endfor -%}
    (
        {{ character }} like '(%' or {{ character }} like 'Additional Voice%'
        or (
            ({{ character }} like '%#%' or right({{ character }}, 1) between '0' and '9')
            and {{ character }} ~ '#\s?[0-9]|\s[0-9]+$'
        )
        or (
            '{{ tojson(last_words) }}'::jsonb ?| string_to_array(translate(lower({{ character }}), '(', ' '), ' ')
            and {{ character }} ~* (
                '^(the |a |an )?((young|old|older|elderly|little|pretty|angry|drunk|head|first|second|third|lead|another) )*'
                || '([a-z0-9''.-]+ ){0,3}({{ role_words() | join("|") }})s?'
                || '( (one|two|three|four|[a-d])| (at|on|in|with|from|of) .*| - .*)?\s*(\(.*\))?$'
            )
        )
    )
{%- endmacro %}

{#-
    How likely somebody is a woman of whom neither gender nor first name says so: women's share of the first
    two people of real casts whose gender is known. A constant, so that no feature moves when films are added; nobody
    at all (0) instead would take the casts that TMDB knows least of for casts of men (docs/model.md).
-#}
{% macro usual_female_share() -%}0.36::double precision{%- endmacro %}

{#- Where a credit stands in its cast, as one number: by its `order`, without one last, and then by its place in the list. -#}
{% macro billing_place(billing, position) -%}
    case
        -- digits alone, at most six; an expression, which starts anew for each, takes longer
        when {{ billing }} != '' and length({{ billing }}) <= 6 and translate({{ billing }}, '0123456789', '') = ''
            then ({{ billing }})::bigint
        else 1000000
    end * 1000000 + {{ position }}
{%- endmacro %}

{#-
    The people of a cast in billing order:
    (billing_rank, women_so_far, credits_count, gender, expected_female, is_role_only).
    Each person once, by their first billing; `order` has gaps and ties, so the rank is counted anew.
    gender: TMDB's number, 1 a woman, 2 a man, 3 non-binary; null where it is not set.
    expected_female: 1 or 0 where the gender is known, else how often people of that first name are women.
    is_role_only: whether a woman's part has no name; null for others, and where no part is told.

    The first credit of a person is one number, so that the least of them is it: its place, then a digit for its gender
    and one for its part (0 none, 1 with a name, 2 without). Sorting the credits of each person takes twice as long.
-#}
{% macro cast_people(cast_members) %}
    select
        row_number() over by_billing as billing_rank,
        count(*) filter (where person.gender = 1) over by_billing as women_so_far,
        person.credits_count,
        person.gender,
        case
            when person.gender is not null then (person.gender = 1)::integer::double precision
            else {{ first_name_female_share(first_name('person.name')) }}
        end as expected_female,
        case person.part when 1 then false when 2 then true end as is_role_only
    from (
        select
            people.first_credit / 100 as place,
            nullif(people.first_credit / 10 % 10, 0) as gender,
            people.first_credit % 10 as part,
            people.credits_count,
            people.name
        from (
            select
                min(
                    ({{ billing_place('member.billing', 'member.position') }}) * 100
                    + case member.gender when '1' then 10 when '2' then 20 when '3' then 30 else 0 end
                    + case
                        when member.gender = '1' and member.character != ''
                            then 1 + {{ is_role_only('member.character') }}::integer
                        else 0
                    end
                ) as first_credit,
                count(*) as credits_count,
                min(member.name) as name
            from {{ json_objects(cast_members, ['id', 'order', 'gender', 'name', 'character']) }}
                as member (id, billing, gender, name, character, position)
            group by coalesce(member.id, 'position ' || member.position)
        ) as people
    ) as person
    window by_billing as (order by person.place rows unbounded preceding)
{% endmacro %}

{% macro cast_tops() -%} {{ return([3, 5, 10]) }} {%- endmacro %}

{#- One pass over the cast of a film. -#}
{% macro cast_sums() %}
{%- set likely_female = 'coalesce(person.expected_female, ' ~ usual_female_share() ~ ')' %}
    select
        {{ people_sums() }},
        avg(person.expected_female) as expected_share,
        sum(person.expected_female / person.billing_rank)
        / sum(1.0::double precision / person.billing_rank) filter (where person.expected_female is not null)
            as expected_weighted_share,
        sum({{ likely_female }}) filter (where person.billing_rank <= 8) as top8_expected_women,
        sum({{ likely_female }} / person.billing_rank) as expected_weight,
        sum(({{ likely_female }} / person.billing_rank) ^ 2) as expected_squares,
        bool_or(person.gender = 1) filter (where person.billing_rank = 1) as top1_is_woman,
        {%- for top in cast_tops() %}
        count(person.gender) filter (where person.billing_rank <= {{ top }}) as top{{ top }}_known,
        count(*) filter (where person.billing_rank <= {{ top }} and person.gender = 1) as top{{ top }}_women,
        {%- endfor %}
        sum(1.0::double precision / person.billing_rank) filter (where person.gender is not null) as known_weight,
        sum(1.0::double precision / person.billing_rank) filter (where person.gender = 1) as women_weight,
        {%- for number in [1, 2, 3] %}
        min(person.billing_rank) filter (where person.women_so_far = {{ number }}) as woman{{ number }}_rank,
        {%- endfor %}
        count(*) filter (where not person.is_role_only) as named_women,
        count(*) filter (where person.is_role_only) as role_only_women
    from ({{ cast_people('movies.cast_members') }}) as person
{% endmacro %}

{% macro cast_columns() %}
    -- the whole cast; null when the cast is unknown
    in_cast.members as cast_members_count,
    case when in_cast.members > 0 then in_cast.known end as cast_known_gender_count,
    1 - in_cast.known::double precision / in_cast.members as cast_unknown_gender_share,
    case when in_cast.known > 0 then in_cast.women end as cast_female_count,
    in_cast.women::double precision / nullif(in_cast.known, 0) as cast_female_share,
    coalesce(in_cast.women_weight, 0) / in_cast.known_weight as cast_billing_weighted_female_share,
    {{ female_share_of_all('in_cast', 'movies.published_cast_female_share') }} as cast_female_share_of_all,
    in_cast.expected_share as cast_expected_female_share,
    in_cast.expected_weighted_share as cast_billing_weighted_expected_female_share,
    -- the square of a sum holds each pair twice and everybody with themselves; rounding may fall below 0
    case
        when in_cast.members > 0
            then greatest((in_cast.expected_weight * in_cast.expected_weight - in_cast.expected_squares) / 2, 0)
    end as cast_billing_weighted_expected_female_pairs_count,

    -- by billing
    in_cast.top1_is_woman as cast_top1_is_female,
    {%- for top in cast_tops() %}
    case when in_cast.members > 0 then in_cast.top{{ top }}_known end as cast_top{{ top }}_known_count,
    case when in_cast.top{{ top }}_known > 0 then in_cast.top{{ top }}_women end
        as cast_top{{ top }}_female_count,
    in_cast.top{{ top }}_women::double precision / nullif(in_cast.top{{ top }}_known, 0)
        as cast_top{{ top }}_female_share,
    {%- endfor %}
    in_cast.top8_expected_women as cast_top8_expected_female_count,
    in_cast.woman1_rank as cast_first_female_rank,
    in_cast.woman2_rank as cast_second_female_rank,
    in_cast.woman3_rank as cast_third_female_rank,

    -- named women against roles
    case when in_cast.known > 0 then in_cast.named_women end as cast_named_female_count,
    case when in_cast.known > 0 then in_cast.role_only_women end as cast_role_only_female_count,
    in_cast.named_women::double precision / nullif(in_cast.named_women + in_cast.role_only_women, 0) as cast_named_female_share
{%- endmacro %}

{% macro movie_cast_features(movies) -%}
    {{ film_features(movies, cast_columns(), cast_sums(), 'in_cast') }}
{%- endmacro %}
