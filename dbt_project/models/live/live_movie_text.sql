{{ movie_text_features(ref('int_movies_live')) }}
