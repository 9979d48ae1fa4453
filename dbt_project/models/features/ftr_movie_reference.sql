with movies as (
    select * from {{ ref('stg_kaggle__movies') }}
),

features as (
    select
        -- ids
        movie_id,

        -- timestamps (UTC): votes and popularity are those of the day on which we read them
        loaded_at as event_timestamp,
        loaded_at as created_timestamp,

        -- the ten features, as the rated file has them
        (
            select string_agg(genre.name, ', ' order by genre.position)
            from jsonb_array_elements_text(movies.genres) with ordinality as genre (name, position)
        ) as reference_genres,
        title as reference_title,
        revenue_usd as reference_revenue_usd,
        popularity as reference_popularity,
        budget_usd as reference_budget_usd,
        vote_average as reference_vote_average,
        vote_count as reference_votes_count,
        cast_female_representation as reference_cast_female_representation,
        crew_female_representation as reference_crew_female_representation,
        listed_year::bigint as reference_year
    from movies
)

select * from features
