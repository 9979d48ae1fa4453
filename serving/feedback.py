"""Ratings that users of the server give. They stand beside the known rating and never replace it."""

from datetime import datetime

from serving.database import Database


class Feedback:
    """Writes `serving.feedback`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def give(
        self, tmdb_id: int, rating: int, comment: str | None, *, request_id: str, model_version: str | None
    ) -> tuple[int, datetime]:
        """Store a rating; returns its number and when it was stored.

        Raises:
            DatabaseError: it could not be stored.
        """
        [row] = self._database.fetch(
            """
            insert into serving.feedback (request_id, movie_id, rating, comment, model_version)
            values (%s, %s, %s, %s, %s)
            returning feedback_id, given_at
            """,
            [request_id, tmdb_id, rating, comment, model_version],
        )
        return row["feedback_id"], row["given_at"]
