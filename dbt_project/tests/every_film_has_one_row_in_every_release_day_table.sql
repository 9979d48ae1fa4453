-- A film that a feature table has lost would be a film of unknowns for the model.
{% for theme in ['cast', 'crew', 'genre', 'history', 'production', 'text'] %}
    select
        movies.movie_id,
        '{{ theme }}' as missing_in
    from {{ ref('int_movies_unioned') }} as movies
    left join {{ ref('ftr_movie_' ~ theme) }} as features
        on movies.movie_id = features.movie_id and movies.event_timestamp = features.event_timestamp
    where features.movie_id is null
    {{ 'union all' if not loop.last }}
{% endfor %}
