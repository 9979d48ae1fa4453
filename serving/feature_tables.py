"""Features of many films at once, out of the tables that dbt built: for neighbours and for checks of a model."""

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from common.errors import FeatureStoreError
from serving.database import Database


def read_features(database: Database, names: Sequence[str], *, condition: str, limit: int) -> list[dict[str, Any]]:
    """Feature rows of rated films with `movie_id`, `title`, `year`, `poster_path` and `bechdel_rating`.

    Args:
        names: features wanted.
        condition: SQL over `movies` (marts.dim_movies) and `labels` (features.lbl_movie_bechdel_rating).
        limit: at most so many, the best known first.

    Raises:
        FeatureStoreError: the tables lack a feature.
        DatabaseError: they cannot be read.
    """
    columns = database.fetch(
        """
        select distinct on (column_name) table_name, column_name from information_schema.columns
        where table_schema = 'features' and table_name like 'ftr\\_movie\\_%%' and column_name = any(%s)
        order by column_name, table_name = 'ftr_movie_reference', table_name
        """,
        [list(names)],
    )
    gone = sorted(set(names) - {row["column_name"] for row in columns})
    if gone:
        raise FeatureStoreError(f"The feature tables lack {', '.join(gone[:5])}. Build them: make up.")
    tables = sorted({row["table_name"] for row in columns})
    selected = [sql.Identifier(row["table_name"], row["column_name"]) for row in columns]
    joins = [
        sql.SQL("left join {table} on {table_name}.movie_id = chosen.movie_id").format(
            table=sql.Identifier("features", name), table_name=sql.Identifier("features", name)
        )
        for name in tables
    ]
    query = sql.SQL(
        """
        with chosen as (
            select movies.movie_id, movies.title, movies.year, movies.poster_path, labels.bechdel_rating
            from marts.dim_movies as movies
            join features.lbl_movie_bechdel_rating as labels on labels.movie_id = movies.movie_id
            where {condition}
            order by movies.popularity_rank nulls last, movies.movie_id
            limit {limit}
        )
        select chosen.*, {selected} from chosen {joins}
        """
    ).format(
        condition=sql.SQL(condition),  # a constant of ours
        limit=sql.Literal(limit),
        selected=sql.SQL(", ").join(selected) if selected else sql.SQL("1"),
        joins=sql.SQL(" ").join(joins),
    )
    return database.fetch(query.as_string(None))
