{{
    config(
        schema='live',
        materialized='incremental',
        incremental_strategy='append',
        pre_hook="{% if is_incremental() %}delete from {{ this }}{% endif %}",
        indexes=[{'columns': ['first_name'], 'unique': true}],
    )
}}
-- Filled anew in place: dbt's own way with a table drops the old one and every view on it, also those that are not
-- built in this run. In schema live, as the views there read it.

with ratings as (
    select * from {{ ref('stg_kaggle__movies') }}
),

first_loads as (
    {{ first_loads('raw.movies') }}
),

-- only films of their source's first load: what is loaded or looked up later changes no feature of an earlier film
movies as (
    select
        unioned.cast_members,
        unioned.crew_members
    from {{ ref('int_movies_unioned') }} as unioned
    inner join ratings on unioned.movie_id = ratings.movie_id
    left join first_loads on ratings.source = first_loads.source
    where first_loads.finished_at is null or ratings.first_loaded_at <= first_loads.finished_at
),

credits as (
    select credit.item
    from movies
    cross join lateral jsonb_array_elements(movies.cast_members) as credit (item)
    union all
    select credit.item
    from movies
    cross join lateral jsonb_array_elements(movies.crew_members) as credit (item)
),

-- each person once, however many films and jobs they have
people as (
    select
        {{ first_name("min(credits.item ->> 'name')") }} as first_name,
        min(credits.item ->> 'gender') = '1' as is_woman
    from credits
    where jsonb_typeof(credits.item) = 'object' and credits.item ->> 'gender' in ('1', '2')
    group by coalesce(credits.item ->> 'id', credits.item ->> 'name')
),

counted as (
    select
        first_name,
        count(*) as people_count,
        count(*) filter (where is_woman) as women_count
    from people
    where length(first_name) > 1 and first_name !~ '[0-9.,()"]'  -- no initials, no companies
    group by first_name
),

everybody as materialized (  -- asked once, not once per name
    select avg(is_woman::integer)::double precision as female_share from people
),

shares as (
    select
        counted.first_name,
        counted.people_count,
        -- as if one more person had it, who is a woman as often as anybody: three of three is not quite always
        round(
            ((counted.women_count + everybody.female_share) / (counted.people_count + 1))::numeric, 3
        )::double precision as female_share
    from counted
    cross join everybody
    where counted.people_count >= 3
)

select * from shares
