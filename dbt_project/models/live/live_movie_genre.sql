{{ movie_genre_features(ref('int_movies_live')) }}
