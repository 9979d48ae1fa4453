{{ movie_production_features(ref('int_movies_live')) }}
