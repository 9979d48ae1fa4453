{{ movie_cast_features(ref('int_movies_live')) }}
