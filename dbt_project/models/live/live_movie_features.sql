{{ live_movie_features(ref('int_movies_live')) }}  -- noqa: PRS
