"""Real or made-up films: a model that learned from one kind must not answer for the other."""

from collections.abc import Mapping

import psycopg

TAG = "is_synthetic"  # of a model's version: a key of WORDS
WORDS = {"true": "made-up", "false": "real"}


def kind_of(*, synthetic: bool) -> str:
    """The tag's value."""
    return str(synthetic).lower()


def kind_of_loaded(connection: psycopg.Connection) -> str | None:
    """The kind of the films in raw.movies, made-up as soon as one is; None while none is loaded."""
    try:
        row = connection.execute("select bool_or(is_synthetic) from raw.movies").fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    return None if row is None or row[0] is None else kind_of(synthetic=row[0])


def describe_misfit(tags: Mapping[str, str], loaded: str | None) -> str | None:
    """Why a version with such tags must not answer for the films that are loaded; None when it may."""
    learned = tags.get(TAG)
    if loaded is None or learned not in WORDS or learned == loaded:
        return None
    return f"learned from {WORDS[learned]} films, and {WORDS[loaded]} ones are loaded"
