-- Against a plain count: a director cannot have more earlier films than there are with this director.
with directed as (
    select
        movies.movie_id,
        movies.event_timestamp,
        person.person_id
    from {{ ref('int_movies_unioned') }} as movies
    cross join lateral ({{ crew_keys('movies.crew_members') }}) as person
    where person.is_director
),

rated as (
    select * from {{ ref('lbl_movie_bechdel_rating') }}
),

counted as (
    select
        directed.movie_id,
        count(rated.movie_id) as films
    from directed
    left join directed as earlier
        on directed.person_id = earlier.person_id and directed.event_timestamp > earlier.event_timestamp
    left join rated on earlier.movie_id = rated.movie_id
    group by directed.movie_id
)

select
    history.movie_id,
    history.history_director_films_count,
    counted.films
from {{ ref('ftr_movie_history') }} as history
inner join counted on history.movie_id = counted.movie_id
where history.history_director_films_count > counted.films
