"""The registry's configuration; no database is asked."""

from feast.repo_config import RepoConfig
from sqlalchemy.engine import make_url

from feast_stores.registry import PostgresRegistryConfig, sqlalchemy_url


def test_url_is_for_psycopg_3_and_searches_the_schema() -> None:
    url = make_url(sqlalchemy_url("postgres://us%40er:p%2Fw@h:6543/d?sslmode=disable", "feast"))
    assert (url.drivername, url.username, url.password, url.host, url.port) == (
        "postgresql+psycopg", "us@er", "p/w", "h", 6543,
    )  # fmt: skip
    assert dict(url.query) == {"sslmode": "disable", "options": "-c search_path=feast"}


def test_feast_takes_the_registry_for_its_sql_registry() -> None:
    config = PostgresRegistryConfig(
        registry_type="feast_stores.registry.PostgresRegistry", path="${NO_SUCH_URL:-postgresql://a@b/c}"
    )
    assert config.registry_type == "sql"
    assert make_url(config.path).host == "b"


def test_feast_finds_the_registry_once_a_store_is_named() -> None:
    store = "feast_stores.offline_store.PointInTimePostgresOfflineStore"
    config = RepoConfig(
        project="test",
        registry={"registry_type": "feast_stores.registry.PostgresRegistry", "path": "postgresql://a@b/c"},
        offline_store={"type": store, "connection": "postgresql://a@b/c"},
        online_store=None,
    )
    assert isinstance(config.registry, PostgresRegistryConfig)
