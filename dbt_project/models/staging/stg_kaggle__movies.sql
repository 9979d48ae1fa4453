with source as (
    select * from {{ source('raw', 'movies') }}
),

renamed as (
    select
        -- ids
        tmdbid as movie_id,
        'tt' || lpad(imdbid::text, greatest(7, length(imdbid::text)), '0') as imdb_id,  -- lpad also cuts

        -- texts
        {{ clean_text('title') }} as title,
        null::text as original_title,
        null::text as tagline,
        null::text as overview,
        null::text as original_language,
        null::text as poster_path,

        -- lists
        {{ json_names('genres') }} as genres,
        {{ json_names('production_countries') }} as countries,
        {{ json_names('production_companies') }} as companies,
        {{ known_array('"cast"') }} as cast_members,
        {{ known_array('crew') }} as crew_members,

        -- numerics
        year as listed_year,
        null::integer as runtime_minutes,
        nullif(budget, 0) as budget_usd,  -- the source writes 0 when the budget is unknown

        -- known after release only
        nullif(revenue, 0) as revenue_usd,
        popularity,
        vote_average,
        vote_count,
        cast_female_representation,
        crew_female_representation,

        -- the rating
        bt_score as bechdel_rating,
        dubious::integer::boolean as is_dubious,

        -- dates and timestamps (UTC)
        release_date,
        first_loaded_at,
        loaded_at,

        -- origin
        source,
        is_synthetic
    from source
)

select * from renamed
