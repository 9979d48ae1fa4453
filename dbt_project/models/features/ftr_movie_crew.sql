{{ movie_crew_features(ref('int_movies_unioned')) }}  -- noqa: PRS
