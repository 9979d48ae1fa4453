"""The real opendatasets and kaggle code, with HTTP faked at the transport."""

import io
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import responses
from pydantic import SecretStr

from common.errors import SourceError
from ingestion.kaggle import Credentials, download, find_credentials

KEY = "0123456789abcdef"
CREDENTIALS = Credentials("somebody", SecretStr(KEY))
ANY_ADDRESS = re.compile(".*")


@pytest.fixture
def http() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, and a working folder, in which every trace would be found."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name, raising=False)
    return folder


def answer(http: responses.RequestsMock, status: int, *names: str) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name in names:
            file.writestr(name, "title\nThe Quiet Map\n")
    body = archive.getvalue() if names else b"{}"
    http.add(
        responses.POST, ANY_ADDRESS, body=body, status=status, headers={"Content-Length": str(len(body))},
        content_type="application/zip" if names else "application/json",
    )  # fmt: skip


def test_file_is_downloaded_with_the_credentials(tmp_path: Path, http: responses.RequestsMock) -> None:
    answer(http, 200, "movies.csv", "other.csv")
    assert download(tmp_path / "kaggle", CREDENTIALS).read_text() == "title\nThe Quiet Map\n"
    assert http.calls[0].request.headers["Authorization"].startswith("Basic ")
    assert [path.name for path in (tmp_path / "kaggle").iterdir()] == ["movies.csv"]


def test_second_download_asks_nobody(tmp_path: Path, http: responses.RequestsMock) -> None:
    answer(http, 200, "movies.csv")
    download(tmp_path / "kaggle", CREDENTIALS)
    download(tmp_path / "kaggle", None)
    assert len(http.calls) == 1


def test_nothing_of_the_credentials_is_left(
    tmp_path: Path, home: Path, http: responses.RequestsMock, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    before, prompt = dict(os.environ), click.prompt
    caplog.set_level("DEBUG")
    answer(http, 200, "movies.csv")
    download(tmp_path / "kaggle", CREDENTIALS)
    assert dict(os.environ) == before
    assert click.prompt is prompt
    assert list(home.iterdir()) == []
    printed = capfd.readouterr()
    assert KEY not in printed.out + printed.err + caplog.text
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "refuses the credentials"),
        (403, "denies access"),
        (404, "has no data set"),
        (500, "answers with an error"),
    ],
)
def test_refusal_is_one_sentence_without_the_key(
    tmp_path: Path, http: responses.RequestsMock, status: int, sentence: str
) -> None:
    answer(http, status)
    with pytest.raises(SourceError, match=sentence) as raised:
        download(tmp_path / "kaggle", CREDENTIALS)
    assert KEY not in str(raised.value)
    assert list((tmp_path / "kaggle").iterdir()) == []


@pytest.mark.usefixtures("http")
def test_no_network_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"Kaggle cannot be reached \(ConnectionError\)"):
        download(tmp_path / "kaggle", CREDENTIALS)


def test_data_set_without_the_file_is_one_sentence(tmp_path: Path, http: responses.RequestsMock) -> None:
    answer(http, 200, "films.parquet")
    with pytest.raises(SourceError, match=r"has no movies\.csv any more"):
        download(tmp_path / "kaggle", CREDENTIALS)


def test_answer_that_is_no_archive_is_one_sentence(tmp_path: Path, http: responses.RequestsMock) -> None:
    http.add(responses.POST, ANY_ADDRESS, body=b"<html>", headers={"Content-Length": "6"}, content_type="text/html")
    with pytest.raises(SourceError, match="The download from Kaggle failed"):
        download(tmp_path / "kaggle", CREDENTIALS)


def test_without_credentials_nothing_is_asked_and_nobody_is_prompted(
    tmp_path: Path, http: responses.RequestsMock
) -> None:
    with pytest.raises(SourceError, match="Kaggle asks for an account"):
        download(tmp_path / "kaggle", None)
    assert len(http.calls) == 0


def test_settings_win_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "kaggle.json").write_text('{"username": "other", "key": "x"}')
    assert find_credentials("somebody", SecretStr(KEY), folder=tmp_path) == CREDENTIALS


def test_file_in_the_root_is_enough(tmp_path: Path) -> None:
    (tmp_path / "kaggle.json").write_text(f'{{"username": "somebody", "key": "{KEY}"}}')
    assert find_credentials(None, None, folder=tmp_path) == CREDENTIALS
    assert KEY not in repr(CREDENTIALS)


def test_neither_settings_nor_file_is_no_error(tmp_path: Path) -> None:
    assert find_credentials(None, None, folder=tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"username": "somebody"}', '{"username": "a", "key": ""}'])
def test_unusable_file_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "kaggle.json").write_text(text)
    with pytest.raises(SourceError, match="must read"):
        find_credentials(None, None, folder=tmp_path)


def test_half_of_the_settings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="KAGGLE_USERNAME is set but KAGGLE_KEY is not"):
        find_credentials("somebody", None, folder=tmp_path)
