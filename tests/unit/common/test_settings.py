"""Settings: typed, checked, and never telling a secret."""

from pathlib import Path

import pytest

from common.errors import SettingsError
from common.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / ".env")


def test_without_a_connection_string_the_embedded_database_is_used() -> None:
    assert load_settings().database_url == "postgresql://bechdel@127.0.0.1:54329/bechdel"


def test_a_connection_string_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_CONNECTION_STRING", "postgres://ada:secret@db.example:6432/films")
    assert load_settings().database_url == "postgresql://ada:secret@db.example:6432/films"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMDB_API_TOKEN", "")
    assert load_settings().tmdb_api_token is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "99999"),
        ("PORT", "many"),
        ("DB_CONNECTION_STRING", "mysql://root:hunter2@localhost/films"),
        ("TMDB_API_BASE_URL", "not a url"),
        ("SAMPLE_FILMS", "0"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_bad_value_names_its_variable_and_hides_the_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert name in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_secrets_do_not_show_in_the_settings_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMDB_API_TOKEN", "hunter2")
    monkeypatch.setenv("KAGGLE_KEY", "hunter3")
    assert "hunter" not in repr(load_settings())
