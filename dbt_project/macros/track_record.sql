{#- How many average films stand in for missing experience when a pass rate is compared with its time. -#}
{% macro average_films() -%} 5 {%- endmacro %}

{#- The public columns of a track record from its running sums. -#}
{% macro track_record_columns(prefix, sums) %}
        {{ sums }}_films::bigint as {{ prefix }}_films_count,
        {{ sums }}_passes::bigint as {{ prefix }}_passes_count,
        {{ sums }}_expected_passes::double precision as {{ prefix }}_expected_passes,
        ({{ sums }}_passes / nullif({{ sums }}_films, 0))::double precision as {{ prefix }}_pass_share,
        (({{ sums }}_passes - {{ sums }}_expected_passes) / ({{ sums }}_films + {{ average_films() }}))::double precision as {{ prefix }}_pass_lift,
        {{ sums }}_casts::bigint as {{ prefix }}_casts_count,
        ({{ sums }}_female_share / nullif({{ sums }}_casts, 0))::double precision as {{ prefix }}_cast_female_share
{%- endmacro %}

{#-
    Track records: one row for each moment at which one changed, with the state after it.
    credits: relation or subquery of (movie_id, the key, role); roles: `{role: prefix of its columns}`.
-#}
{% macro track_record(credits, key, roles) %}
{%- set sums = ['films', 'passes', 'expected_passes', 'casts', 'female_share'] -%}
with credits as (
    {{ credits }}
),

events as (
    select * from {{ ref('int_movie_rating_events') }}
),

-- films of one day are one step: they do not see each other
steps as (
    select
        credits.{{ key }},
        events.known_at
        {%- for role in roles %}{% for column in sums %},
        coalesce(sum(events.{{ column }}) filter (where credits.role = '{{ role }}'), 0) as {{ role }}_{{ column }}
        {%- endfor %}{% endfor %}
    from credits
    inner join events on credits.movie_id = events.movie_id
    group by credits.{{ key }}, events.known_at
),

states as (
    select
        {{ key }},
        known_at
        {%- for role in roles %}{% for column in sums %},
        sum({{ role }}_{{ column }}) over so_far as {{ role }}_{{ column }}
        {%- endfor %}{% endfor %}
    from steps
    window so_far as (partition by {{ key }} order by known_at)
),

features as (
    select
        -- ids
        {{ key }},

        -- timestamps (UTC)
        known_at as event_timestamp,
        known_at as created_timestamp,

        -- films so far, how many passed beside how many of their time would have, and women in their casts
        {%- for role, prefix in roles.items() %}
        {{- track_record_columns(prefix, role) }}{{ ',' if not loop.last }}
        {%- endfor %}
    from states
)

select * from features
{% endmacro %}
