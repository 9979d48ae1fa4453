"""The connection URL: the shell's default rule, and everything libpq reads in a URL."""

import pytest

from feast_stores.connection import connection_parts, connection_url, expand_variables, server_of
from feast_stores.offline_store import PointInTimePostgresOfflineStoreConfig


@pytest.mark.parametrize(
    ("text", "environment", "expanded"),
    [
        ("${URL:-postgresql://a@b/c}", {}, "postgresql://a@b/c"),
        ("${URL:-postgresql://a@b/c}", {"URL": ""}, "postgresql://a@b/c"),
        ("${URL:-postgresql://a@b/c}", {"URL": "postgresql://x@y/z"}, "postgresql://x@y/z"),
        ("${URL}", {"URL": "postgresql://x@y/z"}, "postgresql://x@y/z"),
        ("postgresql://a@${HOST:-localhost}/${NAME:-c}", {"NAME": "d"}, "postgresql://a@localhost/d"),
        ("postgresql://a:p$w@b/c", {}, "postgresql://a:p$w@b/c"),
    ],
)
def test_variables_follow_the_shells_default_rule(text: str, environment: dict[str, str], expanded: str) -> None:
    assert expand_variables(text, environment) == expanded


def test_unset_variable_without_default_is_named() -> None:
    with pytest.raises(ValueError, match=r"The environment variable NO_SUCH_URL is not set\. Set it, or write"):
        expand_variables("${NO_SUCH_URL}", {})


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_every_usual_scheme_works(scheme: str) -> None:
    assert connection_url(f"{scheme}://a@b/c") == "postgresql://a@b/c"


def test_escapes_and_parameters_are_read() -> None:
    parts = connection_parts("postgresql://us%40er:p%3Aw%2F@h:6543/d%20b?sslmode=disable")
    assert parts == {
        "user": "us@er", "password": "p:w/", "host": "h", "port": "6543", "dbname": "d b", "sslmode": "disable",
    }  # fmt: skip


def test_broken_url_is_refused_without_its_password() -> None:
    with pytest.raises(ValueError, match="no PostgreSQL URL") as caught:
        connection_parts("postgresql://user:s3cr%ZZt@host/db")
    assert "s3cr" not in str(caught.value)


def test_configuration_fills_feasts_own_fields() -> None:
    config = PointInTimePostgresOfflineStoreConfig(connection="postgres://us%40er@h/d", db_schema="features")
    assert (config.host, config.port, config.user, config.password) == ("h", 5432, "us@er", "")
    assert (config.database, config.sslmode, config.db_schema) == ("d", "prefer", "features")


def test_configuration_does_not_print_the_password() -> None:
    config = PointInTimePostgresOfflineStoreConfig(connection="postgresql://u:s3cret@h/d")
    assert "s3cret" not in config.model_copy(update={"password": ""}).__repr__()


def test_same_database_is_recognised_whoever_asks() -> None:
    assert server_of("postgresql://a@h:1/d") == server_of("postgresql://b:c@h:1/d?sslmode=disable")
    assert server_of("postgresql://a@h:1/d") != server_of("postgresql://a@h:2/d")
