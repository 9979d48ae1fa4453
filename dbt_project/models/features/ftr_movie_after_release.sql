{{ movie_after_release_features(ref('int_movies_unioned')) }}
