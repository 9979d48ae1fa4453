{{ config(indexes=[{'columns': ['person_id'], 'unique': true}]) }}

with ratings as (
    select * from {{ ref('fct_ratings') }}
),

movies as (
    select * from {{ ref('int_movies_unioned') }}
),

directed as (
    select
        movies.movie_id,
        person.person_id,
        (
            select min(credit.item ->> 'name')
            from jsonb_array_elements(movies.crew_members) as credit (item)
            where credit.item ->> 'id' = person.person_id::text
        ) as director_name
    from movies
    cross join lateral ({{ crew_keys('movies.crew_members') }}) as person
    where person.is_director
),

counted as (
    select
        directed.person_id,
        min(directed.director_name) as director_name,
        {{ pass_rate_columns('ratings.passes') }},
        avg(ratings.cast_female_share) as mean_cast_female_share
    from directed
    inner join ratings on directed.movie_id = ratings.movie_id
    group by directed.person_id
    having count(*) >= {{ var('fewest_films_of_a_director') }}
)

select * from counted
