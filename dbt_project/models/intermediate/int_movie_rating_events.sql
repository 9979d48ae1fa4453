-- What the track records add up: a film joins them once, and again by the difference when its rating was changed.
with movies as (
    select * from {{ ref('int_movies_unioned') }}
),

ratings as (
    select * from {{ ref('stg_kaggle__movies') }}
),

casts as (
    select * from {{ ref('ftr_movie_cast') }}
),

snapshots as (
    select * from {{ ref('snp_movies') }}
),

-- every rating that a film had, and the newest also before the snapshot has seen it: `dbt run` takes none
known_ratings as (
    select
        tmdbid as movie_id,
        bt_score as bechdel_rating,
        dbt_valid_from as valid_from
    from snapshots
    union all
    select
        ratings.movie_id,
        ratings.bechdel_rating,
        ratings.loaded_at as valid_from
    from ratings
    where not exists (
        select from snapshots
        where snapshots.tmdbid = ratings.movie_id and snapshots.dbt_valid_from >= ratings.loaded_at
    )
),

versions as (
    select
        movie_id,
        (bechdel_rating = 3)::integer as passes,
        valid_from,
        row_number() over (partition by movie_id order by valid_from) as version_number
    from known_ratings
),

first_loads as (
    {{ first_loads('raw.movies') }}
),

-- A film counts from the day after its release, and a film that we were told of late from then on:
-- docs/decisions/0010-two-clocks.md
films as (
    select
        movies.movie_id,
        movies.event_timestamp,
        casts.cast_female_share::numeric as female_share,
        greatest(
            movies.event_timestamp + interval '1 day',
            case
                when first_loads.finished_at is null or ratings.first_loaded_at > first_loads.finished_at
                    then ratings.first_loaded_at
            end
        ) as known_at
    from movies
    inner join ratings on movies.movie_id = ratings.movie_id
    left join casts on movies.movie_id = casts.movie_id
    left join first_loads on ratings.source = first_loads.source
),

dated as (
    select
        films.movie_id,
        films.event_timestamp,
        versions.version_number = 1 as is_first,
        films.female_share,
        case
            when versions.version_number = 1 then films.known_at else greatest(films.known_at, versions.valid_from)
        end as known_at,
        versions.passes - coalesce(
            lag(versions.passes) over (partition by films.movie_id order by versions.version_number), 0
        ) as passes
    from films
    inner join versions on films.movie_id = versions.movie_id
),

-- all films and ratings in one line of time, with what each film's release day could look back on
timeline as (
    select
        known_at as happened_at,
        is_first::integer as films,
        passes,
        null::bigint as asked_for
    from dated
    union all
    select
        event_timestamp as happened_at,
        0 as films,
        0 as passes,
        movie_id as asked_for
    from dated
    where is_first
),

-- as if five of ten films before the first one had passed
pass_rates as (
    select
        asked_for,
        (5.0 + sum(passes) over looking_back) / (10 + sum(films) over looking_back) as pass_rate
    from timeline
    window looking_back as (order by happened_at range between unbounded preceding and current row)
),

events as (
    select
        -- ids
        dated.movie_id,

        -- timestamps (UTC)
        dated.known_at,

        -- what it adds
        dated.is_first::integer as films,
        dated.passes,
        -- what a film of its time could be expected to add; numeric, so that sums do not depend on their order
        case when dated.is_first then round(pass_rates.pass_rate, 9) else 0 end as expected_passes,
        case when dated.is_first and dated.female_share is not null then 1 else 0 end as casts,
        case when dated.is_first then coalesce(round(dated.female_share, 9), 0) else 0 end as female_share
    from dated
    inner join pass_rates on dated.movie_id = pass_rates.asked_for
    where dated.is_first or dated.passes != 0
)

select * from events
