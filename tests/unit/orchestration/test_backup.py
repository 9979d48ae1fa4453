"""What a person is told who asks for a backup the wrong way; saving and restoring are in tests/integration."""

import io
import json
import subprocess
from pathlib import Path

import pytest

from common.errors import DatabaseError, PlatformError
from orchestration.backup import MANIFEST, main


class Terminal(io.StringIO):
    """Where somebody types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A backup of nothing, and a database that is away."""
    monkeypatch.setenv("DB_CONNECTION_STRING", "postgresql://me:secret@127.0.0.1:9/films")
    folder = tmp_path / "backup"
    folder.mkdir()
    manifest = {"saved_at": "2026-11-23", "server": 180001, "schema_version": "1", "films": 0, "checksums": {}}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


@pytest.mark.usefixtures("backup")
@pytest.mark.parametrize(("command", "variable"), [("save", "TO"), ("restore", "FROM")])
def test_a_folder_that_was_not_named_is_asked_for(command: str, variable: str) -> None:
    with pytest.raises(PlatformError, match=f"{variable}=folder is needed"):
        main([command, ""])


@pytest.mark.usefixtures("backup")
def test_a_backup_of_a_database_that_is_away_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"127\.0\.0\.1:9/films cannot be reached .*make up"):
        main(["save", str(tmp_path / "new")])
    assert [path.name for path in tmp_path.iterdir()] == ["backup"]


def test_a_backup_that_is_not_there_is_noticed_before_the_question(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())  # a question would get no answer
    with pytest.raises(PlatformError, match="there is no such folder"):
        main(["restore", str(tmp_path / "absent")])
    (backup / MANIFEST).unlink()
    with pytest.raises(PlatformError, match=f"it has no {MANIFEST}"):
        main(["restore", str(backup)])


@pytest.mark.parametrize("typed", ["n\n", "\n", ""])
def test_a_no_changes_nothing_and_suggests_nothing(backup: Path, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    with pytest.raises(PlatformError, match=r"^Nothing was changed\.$"):
        main(["restore", str(backup)])


def test_a_yes_goes_on_to_the_database(backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    with pytest.raises(DatabaseError, match="cannot be reached"):
        main(["restore", str(backup)])


def test_make_passes_a_yes_on(root: Path) -> None:
    command = ["make", "--no-print-directory", "--dry-run", "restore", "FROM=backups/today"]
    asked, unasked = (
        subprocess.run([*command, *more], cwd=root, capture_output=True, text=True, check=True).stdout
        for more in ([], ["YES=1"])
    )
    assert "--yes" not in asked
    assert unasked.rstrip().endswith('restore "$FROM" --yes')
