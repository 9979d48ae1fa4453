{{ movie_history_features(ref('int_movies_unioned')) }}
