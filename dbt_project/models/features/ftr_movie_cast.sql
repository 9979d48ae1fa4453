{{ movie_cast_features(ref('int_movies_unioned')) }}  -- noqa: PRS
