"""A backup is worth what a restore gives back: everything is destroyed here, and restored."""

import io
import json
import tarfile
from pathlib import Path

import psycopg
import pytest

from common.errors import PlatformError
from common.settings import Settings
from orchestration import backup
from orchestration.backup import ARTIFACTS, main, restore, save

TITLES = ["Amélie", "Тоня против всех", "千と千尋の神隠し", "tab\tand \\backslash 'quote'"]


@pytest.fixture
def settings(database_url: str) -> Settings:
    with psycopg.connect(database_url) as connection:
        for number, title in enumerate(TITLES, start=1):
            connection.execute(
                "insert into raw.movies (tmdbid, imdbid, title, year, bt_score, source, is_synthetic, source_row, "
                "row_hash, first_loaded_at, loaded_at) "
                "values (%s, %s, %s, 2001, 3, 'file', false, 1, 'x', now(), now())",
                [number, number, title],
            )
        connection.execute(
            "create schema live; create view live.films as select tmdbid, title from raw.movies;"
            "create schema features; create table features.ftr as select 1.1::double precision as number"
        )
    return Settings(_env_file=None, db_connection_string=database_url)


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    folder = tmp_path / "artifacts"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.txt").write_bytes(b"\0tree\xff")
    return folder


def contents(settings: Settings) -> list[object]:
    with psycopg.connect(settings.database_url) as connection:
        return [
            connection.execute(query.encode()).fetchall()
            for query in (
                "select * from raw.movies order by tmdbid",
                "select title from live.films order by tmdbid",
                "select * from features.ftr",
                "select version_num from ops.schema_version",
                "select indexdef from pg_indexes where schemaname = 'raw' order by 1",
                "select conname, pg_get_constraintdef(oid) from pg_constraint "
                "where connamespace = 'raw'::regnamespace order by 1",
            )
        ]


def destroy(settings: Settings, artifacts: Path) -> None:
    with psycopg.connect(settings.database_url) as connection:
        connection.execute("drop schema raw cascade; drop schema features cascade; create schema litter")
    (artifacts / "1" / "model.txt").unlink()
    (artifacts / "litter").write_text("")


def destroy_one_film(settings: Settings) -> None:
    with psycopg.connect(settings.database_url) as connection:
        connection.execute("delete from raw.movies where tmdbid = 1")


def test_what_was_destroyed_comes_back(settings: Settings, artifacts: Path, tmp_path: Path) -> None:
    before = contents(settings)
    saved = save(settings, artifacts, tmp_path / "backup")
    destroy(settings, artifacts)

    volume = artifacts.stat().st_ino
    assert restore(settings, artifacts, tmp_path / "backup") == saved
    assert artifacts.stat().st_ino == volume  # a mounted one cannot be renamed
    assert contents(settings) == before
    assert [path.name for path in artifacts.rglob("*")] == ["1", "model.txt"]
    assert (artifacts / "1" / "model.txt").read_bytes() == b"\0tree\xff"
    with psycopg.connect(settings.database_url) as connection:
        assert connection.execute("select to_regnamespace('litter')").fetchone() == (None,)


def test_a_restore_can_be_repeated(settings: Settings, artifacts: Path, tmp_path: Path) -> None:
    before = contents(settings)
    save(settings, artifacts, tmp_path / "backup")
    for _ in range(2):
        restore(settings, artifacts, tmp_path / "backup")
    assert contents(settings) == before


@pytest.mark.parametrize("name", ["database.dump", "artifacts.tar", "backup.json"])
def test_a_damaged_backup_changes_nothing(settings: Settings, artifacts: Path, tmp_path: Path, name: str) -> None:
    save(settings, artifacts, tmp_path / "backup")
    with (tmp_path / "backup" / name).open("r+b") as file:
        file.write(b"damage")
    before = contents(settings)
    with pytest.raises(PlatformError, match=r"damaged|no backup"):
        restore(settings, artifacts, tmp_path / "backup")
    assert contents(settings) == before


def test_a_restore_needs_no_filter_of_tarfile(
    settings: Settings, artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came with Python 3.11.4, and 3.11.0 will do."""
    monkeypatch.delattr(tarfile, "data_filter")
    monkeypatch.setattr(tarfile.TarFile, "extractall", None)
    before = contents(settings)
    save(settings, artifacts, tmp_path / "backup")
    destroy(settings, artifacts)

    restore(settings, artifacts, tmp_path / "backup")
    assert contents(settings) == before
    assert [path.name for path in artifacts.rglob("*")] == ["1", "model.txt"]


def test_what_a_killed_restore_has_left_is_not_saved(settings: Settings, artifacts: Path, tmp_path: Path) -> None:
    for name in (backup.FRESH, backup.OLD):
        (artifacts / name / "1").mkdir(parents=True)
    save(settings, artifacts, tmp_path / "backup")
    destroy(settings, artifacts)

    restore(settings, artifacts, tmp_path / "backup")
    assert [path.name for path in artifacts.rglob("*")] == ["1", "model.txt"]


def test_artifacts_that_cannot_be_replaced_are_told_after_the_database_was_restored(
    settings: Settings, artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(settings, artifacts, tmp_path / "backup")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(PlatformError, match=r"database is restored, but its artifacts in .* are not \(Permission"):
        restore(settings, artifacts, tmp_path / "backup")


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("artifacts/../../outside"),
        tarfile.TarInfo("/outside"),
        link("artifacts/link", tarfile.SYMTYPE),
        link("artifacts/link", tarfile.LNKTYPE),
    ],
    ids=["above", "absolute", "symbolic link", "hard link"],
)
def test_artifacts_that_lead_outside_are_refused_before_anything_is_replaced(
    settings: Settings, artifacts: Path, tmp_path: Path, member: tarfile.TarInfo
) -> None:
    save(settings, artifacts, tmp_path / "backup")
    with tarfile.open(tmp_path / "backup" / ARTIFACTS, "a") as archive:
        archive.addfile(member, io.BytesIO())
    manifest = tmp_path / "backup" / "backup.json"
    saved = json.loads(manifest.read_text())
    saved["checksums"][ARTIFACTS] = backup._sha256(tmp_path / "backup" / ARTIFACTS)
    manifest.write_text(json.dumps(saved))
    destroy_one_film(settings)
    before = contents(settings)

    with pytest.raises(PlatformError, match="no plain file or folder inside it"):
        restore(settings, artifacts, tmp_path / "backup")
    assert contents(settings) == before
    assert [path.name for path in artifacts.rglob("*")] == ["1", "model.txt"]
    assert not list(tmp_path.rglob("outside"))


def test_artifacts_on_another_disk_are_saved_themselves_not_as_a_link(
    settings: Settings, artifacts: Path, tmp_path: Path
) -> None:
    linked = tmp_path / "linked"
    linked.symlink_to(artifacts)
    (artifacts / "1" / "same.txt").hardlink_to(artifacts / "1" / "model.txt")
    save(settings, linked, tmp_path / "backup")
    (artifacts / "1" / "same.txt").unlink()
    restore(settings, linked, tmp_path / "backup")
    assert (artifacts / "1" / "same.txt").read_bytes() == b"\0tree\xff"


def test_a_restore_that_fails_halfway_changes_nothing(settings: Settings, artifacts: Path, tmp_path: Path) -> None:
    save(settings, artifacts, tmp_path / "backup")
    with psycopg.connect(settings.database_url) as connection:  # public stays, and this one is in the way
        connection.execute("create table public.watcher (n int)")
    before = contents(settings)
    save(settings, artifacts, tmp_path / "with_public")
    with pytest.raises(PlatformError, match="already exists"):
        restore(settings, artifacts, tmp_path / "with_public")
    assert contents(settings) == before
    assert [path.name for path in artifacts.rglob("*")] == ["1", "model.txt"]


def test_a_backup_is_never_overwritten(settings: Settings, artifacts: Path, tmp_path: Path) -> None:
    save(settings, artifacts, tmp_path / "backup")
    with pytest.raises(PlatformError, match="exists already"):
        save(settings, artifacts, tmp_path / "backup")


def test_a_backup_of_a_newer_server_is_refused(settings: Settings, artifacts: Path, tmp_path: Path) -> None:
    save(settings, artifacts, tmp_path / "backup")
    manifest = tmp_path / "backup" / "backup.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"server": 990000}))
    with pytest.raises(PlatformError, match="PostgreSQL 99"):
        restore(settings, artifacts, tmp_path / "backup")


def test_a_restore_asks_first(
    settings: Settings, artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_CONNECTION_STRING", settings.database_url)
    options = [str(tmp_path / "backup"), "--artifacts", str(artifacts)]
    assert main(["save", *options]) == 0
    with pytest.raises(PlatformError, match=r"Nothing was changed.*YES=1 \(make\) or --yes"):
        main(["restore", *options])
    assert main(["restore", *options, "--yes"]) == 0
