with source as (
    select * from {{ source('raw', 'tmdb_movies') }}
),

-- One pass over the payload, which lies beside its row: every `payload -> 'key'` would fetch all of it again.
-- All scalars are read as text, so that a key that is absent or oddly typed is an unknown value and not an error.
unpacked as (
    select
        source.tmdb_id,
        source.source,
        source.is_synthetic,
        source.fetched_at,
        source.loaded_at,
        film.imdb_id,
        film.title,
        film.original_title,
        film.tagline,
        film.overview,
        film.original_language,
        film.poster_path,
        film.release_date,
        film.runtime,
        film.budget,
        film.popularity,
        film.vote_count,
        film.vote_average,
        film.revenue,
        film.genres,
        film.production_countries,
        film.production_companies,
        film.credits -> 'cast' as cast_members,
        film.credits -> 'crew' as crew_members
    from source
    cross join lateral jsonb_to_record(source.payload) as film (
        imdb_id text,
        title text,
        original_title text,
        tagline text,
        overview text,
        original_language text,
        poster_path text,
        release_date text,
        runtime text,
        budget text,
        popularity text,
        vote_count text,
        vote_average text,
        revenue text,
        genres jsonb,
        production_countries jsonb,
        production_companies jsonb,
        credits jsonb
    )
),

renamed as (
    select
        -- ids
        tmdb_id as movie_id,
        nullif(imdb_id, '') as imdb_id,

        -- texts
        {{ clean_text('title') }} as title,
        {{ clean_text('original_title') }} as original_title,
        {{ clean_text('tagline') }} as tagline,
        {{ clean_text('overview') }} as overview,
        nullif(original_language, '') as original_language,
        nullif(poster_path, '') as poster_path,

        -- lists
        {{ json_names('genres') }} as genres,
        {{ json_names('production_countries') }} as countries,
        {{ json_names('production_companies') }} as companies,
        {{ known_array('cast_members') }} as cast_members,
        {{ known_array('crew_members') }} as crew_members,

        -- numerics; the API writes 0 when it does not know
        case when runtime ~ '^[1-9][0-9]{0,4}$' then runtime::integer end as runtime_minutes,
        case when budget ~ '^[1-9][0-9]{0,14}(\.[0-9]+)?$' then budget::double precision end as budget_usd,

        -- known after release only; a film without votes has an average of 0
        case when revenue ~ '^[1-9][0-9]{0,14}(\.[0-9]+)?$' then revenue::double precision end as revenue_usd,
        case when popularity ~ '^[0-9]+(\.[0-9]+)?$' then popularity::double precision end as popularity,
        case when vote_count ~ '^[0-9]{1,15}(\.[0-9]+)?$' then vote_count::double precision end as vote_count,
        case
            when vote_average ~ '^([0-9]|10)(\.[0-9]+)?$' then nullif(vote_average::double precision, 0)
        end as vote_average,

        -- dates and timestamps (UTC); a day that its month does not have runs over instead of failing
        case
            when release_date ~ '^[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$'
                then (left(release_date, 7) || '-01')::date + (right(release_date, 2)::integer - 1)
        end as release_date,
        fetched_at,
        loaded_at,

        -- origin
        source,
        is_synthetic
    from unpacked
)

select * from renamed
