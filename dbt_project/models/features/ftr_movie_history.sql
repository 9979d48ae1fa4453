{{ movie_history_features('(select *, event_timestamp as history_until from ' ~ ref('int_movies_unioned') ~ ')') }}
