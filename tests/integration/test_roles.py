"""The containers rehearsed: the image's steps, then compose's commands in it, each as its own database role.

No engine runs here, so the image is a folder (deploy/rehearse.py) and a container is a process with a clean
environment; who may do what in the database is tried on the real thing.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from common import embedded_postgres
from common.embedded_postgres import EmbeddedPostgres
from common.errors import DatabaseError
from common.migrations import migrate
from deploy import rehearse
from orchestration import backup
from orchestration.roles import PARTS, apply_roles, password_variable, role_name
from tests.conftest import free_port
from tests.deploy_files import compose

pytestmark = pytest.mark.timeout(1800)  # the first tests wait for an image, films and a model
PASSWORDS = {part: f"{password_variable(part).lower()}-value" for part in PARTS}  # as tests.deploy_files.compose()


@pytest.fixture(scope="module")
def owner_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that asks for passwords; our embedded one trusts its single user, who may not make roles."""
    with pytest.MonkeyPatch.context() as patch:
        statements = embedded_postgres.FIRST_STATEMENTS + "alter role bechdel createrole;\n"
        access = "host all bechdel 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        patch.setattr(embedded_postgres, "FIRST_STATEMENTS", statements)
        patch.setattr(embedded_postgres, "HOST_BASED_ACCESS", access)
        server = EmbeddedPostgres(tmp_path_factory.mktemp("roles"), free_port())
        server.start()
    migrate(server.url)
    with psycopg.connect(server.url) as connection:  # as one role that did everything had left it
        connection.execute(
            "create schema marts; create schema feast; create table marts.old (n int);"
            "create view marts.older as select * from marts.old;"
            "create table feast.old (n int);"
        )
    apply_roles(server.url, PASSWORDS)
    apply_roles(server.url, {})  # again: nothing changes, passwords included
    yield server.url
    server.stop()


def connect_as(owner_url: str, part: str) -> psycopg.Connection:
    return psycopg.connect(owner_url, user=role_name(part), password=PASSWORDS[part])


class Containers:
    """Compose's services as processes in the rehearsed image, on this machine's addresses."""

    def __init__(self, image: rehearse.Image, owner_url: str) -> None:
        self.image = image
        self.ports = {"mlflow": free_port(), "web": free_port()}
        self._moved = {
            "postgres:5432": owner_url.split("@")[1].split("/")[0],
            "mlflow:5001": f"127.0.0.1:{self.ports['mlflow']}",
            "--port=5001": f"--port={self.ports['mlflow']}",
        }
        self._servers: list[subprocess.Popen[bytes]] = []

    def run(self, name: str, *arguments: str) -> None:
        """Run a job to its end, with its own arguments or others."""
        done = subprocess.run(**self._how(name, arguments), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stdout[-3000:]}{done.stderr[-3000:]}"

    def start(self, name: str, health: str) -> None:
        """Start a server and wait until it answers."""
        log = (self.image.folder / "tmp" / f"{name}.log").open("wb")
        server = subprocess.Popen(**self._how(name), stdout=log, stderr=log)
        log.close()
        self._servers.append(server)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and server.poll() is None:
            try:
                if requests.get(f"http://127.0.0.1:{self.ports[name]}{health}", timeout=5).ok:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.3)
        raise AssertionError(f"{name}: {Path(log.name).read_text()[-3000:]}")

    def stop(self) -> list[int]:
        """Ask the servers to end, the last one first; returns their exit codes."""
        codes = []
        while self._servers:
            server = self._servers.pop()
            server.terminate()
            codes.append(server.wait(60))
        return codes

    def _how(self, name: str, arguments: Sequence[str] = ()) -> dict[str, Any]:
        service = compose()["services"][name]
        command = [*(service["entrypoint"] or []), *(arguments or service["command"])]
        environment = {key: self._here(str(value or "")) for key, value in service["environment"].items()}
        environment |= {"SAMPLE_FILMS": "400"} if name == "ingest" else {}
        environment |= {"PORT": str(self.ports["web"]), "HOST": "127.0.0.1"} if name == "web" else {}
        # byte code once for all processes: the image has it beside the modules
        environment |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": "/tmp/byte-code"}  # noqa: S108
        return {
            "args": [self._here(part) for part in command],
            "env": self.image.environment_here(environment),
            "cwd": self.image.workdir,
            "executable": self._program(command[0]),
        }

    def _program(self, name: str) -> str:
        return str(self.image.folder / "opt" / "venv" / "bin" / name)

    def _here(self, text: str) -> str:
        for theirs, ours in self._moved.items():
            text = text.replace(theirs, ours)
        return self.image.here(text)


@pytest.fixture(scope="module")
def containers(owner_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """The image, rehearsed, and its containers."""
    image = rehearse.build(tmp_path_factory.mktemp("image"))
    # one volume: mounted here in mlflow and there in backup
    (image.folder / "artifacts").rmdir()
    (image.folder / "artifacts").symlink_to(image.folder / "state" / "mlflow" / "artifacts")
    made = Containers(image, owner_url)
    yield made
    made.stop()
    shutil.rmtree(image.folder)  # 1 GB


@pytest.fixture(scope="module")
def built(containers: Containers, owner_url: str) -> str:
    """The pipeline up to the online store, each step run by its role; the URL of the owner."""
    before = containers.image.files()
    for name in ("prepare", "ingest", "dbt", "features"):
        containers.run(name)
    assert containers.image.files() == before  # the file system is read-only but for the volumes
    return owner_url


@pytest.fixture(scope="module")
def web(containers: Containers, built: str) -> None:
    """The server of compose with two workers, after training; both wrote into their volumes only."""
    assert built
    before = containers.image.files()
    containers.start("mlflow", "/health")
    containers.run("train")
    containers.start("web", "/readyz")
    assert containers.image.files() == before


def ask(containers: Containers) -> requests.Response:
    url = f"http://127.0.0.1:{containers.ports['web']}/api/v1/predictions"
    return requests.post(url, json={"tmdb_id": 900000001}, timeout=30)


def test_the_rehearsed_image_is_under_one_and_a_half_gigabytes(containers: Containers) -> None:
    assert rehearse.image_megabytes(map(Path, containers.image.files())) < 1500


@pytest.mark.usefixtures("web")
def test_compose_trains_and_serves_as_its_own_roles(containers: Containers) -> None:
    assert 0 < ask(containers).json()["prediction"]["probability"] < 1


PAGES = ("/", "/movies/900000001", "/trends", "/model", "/platform", "/about", "/docs", "/openapi.json", "/metrics")


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize("page", PAGES)
def test_the_role_of_the_server_suffices_for_every_page(containers: Containers, page: str) -> None:
    answer = requests.get(f"http://127.0.0.1:{containers.ports['web']}{page}", timeout=30)
    assert answer.status_code == 200
    assert re.findall(r'class="station (?:warning|away)">\s*<h2>(.*?)<', answer.text) == []


@pytest.mark.usefixtures("web")
def test_composes_backup_holds_films_models_and_users(containers: Containers) -> None:
    before = containers.image.files()
    containers.run("backup", "save", "/backups/today")
    saved = backup.read(containers.image.folder / "backups" / "today")
    assert saved.films == 400
    assert containers.image.files() == before
    dump = containers.image.folder / "backups" / "today" / backup.DUMP
    command = [str(backup._program("pg_restore")), "--list", str(dump)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "TABLE DATA mlflow users" in listed
    assert "TABLE DATA mlflow model_versions" in listed


@pytest.mark.usefixtures("web")
def test_composes_mlflow_asks_who_is_there(containers: Containers) -> None:
    url = f"http://127.0.0.1:{containers.ports['mlflow']}/api/2.0/mlflow/experiments/create"
    reader = ("serving", "mlflow_serving_password-value")
    assert requests.post(url, json={"name": "theirs"}, timeout=30).status_code == 401
    assert requests.post(url, json={"name": "theirs"}, auth=reader, timeout=30).status_code == 403


@pytest.mark.usefixtures("web")
def test_what_compose_saved_answers_again_after_everything_was_destroyed(containers: Containers, built: str) -> None:
    before = ask(containers).json()["prediction"]
    containers.run("backup", "save", "/backups/whole")
    server, _ = containers.stop()
    assert server == 0  # it ends when it is asked to
    destroy(containers.image.folder / "state", built)

    containers.run("backup", "restore", "/backups/whole", "--yes")
    containers.run("prepare")
    containers.start("mlflow", "/health")
    containers.start("web", "/readyz")
    assert ask(containers).json()["prediction"] == before


def destroy(state: Path, owner_url: str) -> None:
    """Every schema of ours, every artifact, and the copies of models that the server keeps."""
    ours = "select nspname from pg_namespace where nspname !~ '^(pg_|information_schema|public)'"
    with psycopg.connect(owner_url) as connection:
        for (schema,) in connection.execute(ours.encode()).fetchall():
            connection.execute(f"drop schema {schema} cascade".encode())
    shutil.rmtree(state / "serving")
    for folder in (state / "mlflow" / "artifacts").iterdir():
        shutil.rmtree(folder)


def test_each_part_logs_in_with_its_own_password_only(owner_url: str) -> None:
    for part in PARTS:
        connect_as(owner_url, part).close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(owner_url, user=role_name("dbt"), password=PASSWORDS["serving"])


def test_a_password_needs_nothing_but_its_hash_on_the_wire(owner_url: str) -> None:
    apply_roles(owner_url, {"mlflow": PASSWORDS["mlflow"]})
    connect_as(owner_url, "mlflow").close()


ALLOWED = [
    ("ingest", "delete from raw.movies where tmdbid = 0"),
    ("dbt", "select count(*) from raw.movies"),
    ("dbt", "create table marts.another (n int)"),
    ("dbt", "select count(*) from online.service_columns"),
    ("training", "create temporary table films as select movie_id from features.lbl_movie_bechdel_rating"),
    ("training", "select count(*) from feast.feature_views"),
    ("serving", "update raw.tmdb_movies set source = source where tmdb_id = 0"),
    ("serving", "select count(*) from live.live_movie_features where movie_id = 900000001"),
    ("serving", "select count(*) from staging.stg_tmdb__movies, staging.stg_kaggle__movies"),
    ("serving", "select count(*) from marts.dim_movies, features.lbl_movie_bechdel_rating"),
    ("serving", "select count(*) from online.published"),
    ("serving", "select count(*) from raw.movies, raw.movies_rejected, raw.tmdb_movies_rejected"),
    ("serving", "update serving.tmdb_connections set free_at = now()"),
    ("mlflow", "create table another (n int)"),
]


@pytest.mark.parametrize(("part", "statement"), ALLOWED)
def test_a_part_may_do_its_own_work(built: str, part: str, statement: str) -> None:
    with connect_as(built, part) as connection:
        connection.execute(statement.encode())
        connection.rollback()


FORBIDDEN = [
    ("ingest", "select 1 from features.lbl_movie_bechdel_rating"),
    ("ingest", "drop table raw.movies"),
    ("ingest", "truncate raw.movies"),
    ("dbt", "delete from raw.movies"),
    ("dbt", "insert into online.published values ('x', 'y', 1)"),
    ("feast", "update features.lbl_movie_bechdel_rating set bechdel_rating = 3"),
    ("feast", "select 1 from raw.tmdb_movies"),
    ("training", "delete from raw.movies"),
    ("training", "update raw.movies set bt_score = 3"),
    ("training", "select 1 from raw.tmdb_movies"),
    ("training", "update features.lbl_movie_bechdel_rating set bechdel_rating = 3"),
    ("training", "delete from feast.feature_views"),
    ("training", "select 1 from online.published"),
    ("serving", "update features.ftr_movie_cast set movie_id = 0"),
    ("serving", "update features.lbl_movie_bechdel_rating set bechdel_rating = 3"),
    ("serving", "drop table features.lbl_movie_bechdel_rating"),
    ("serving", "truncate raw.tmdb_movies"),
    ("serving", "update raw.movies set bt_score = 3"),
    ("serving", "delete from raw.movies_rejected"),
    ("serving", "delete from online.published"),
    ("serving", "delete from feast.feature_views"),
    ("serving", "create table marts.mine (n int)"),
    ("serving", "create table public.mine (n int)"),
    ("serving", "create temporary table mine (n int)"),
    ("serving", "create schema mine"),
    ("mlflow", "select 1 from raw.movies"),
    ("mlflow", "select 1 from features.ftr_movie_cast"),
    ("mlflow", "create table public.mine (n int)"),
    *[(part, "select 1 from ops.step_runs") for part in PARTS],
    *[(part, "create role mine superuser") for part in PARTS],
    *[(part, "copy (select 1) to program 'true'") for part in PARTS],
    *[(part, "set role bechdel") for part in PARTS],
]


@pytest.mark.parametrize(("part", "statement"), FORBIDDEN)
def test_a_part_may_do_nothing_else(built: str, part: str, statement: str) -> None:
    with connect_as(built, part) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


def test_what_one_role_had_made_is_handed_over(owner_url: str) -> None:
    with psycopg.connect(owner_url) as connection:
        owners = connection.execute(
            "select distinct schemaname, tableowner from pg_tables where schemaname in ('marts', 'feast') "
            "union select schemaname, viewowner from pg_views where schemaname = 'marts' order by 1"
        ).fetchall()
    assert owners == [("feast", "bechdel_feast"), ("marts", "bechdel_dbt")]


RIGHTS = """
    select kind, name, grantor::regrole::text, grantee::regrole::text, privilege_type, is_grantable
    from (
        select 'database', datname::text, datacl from pg_database where datname = current_database()
        union all select 'schema', nspname::text, nspacl from pg_namespace
        union all select 'table', oid::regclass::text, relacl from pg_class where relkind <> 'i'
        union all
        select
            'of tomorrow',
            concat_ws(' ', defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype),
            defaclacl
        from pg_default_acl
    ) as objects (kind, name, acl)
    cross join lateral aclexplode(acl)
    union all
    select 'role', rolname::text, rolsuper::text, rolcreaterole::text, rolcreatedb::text, rolcanlogin from pg_roles
    union all select 'owner', oid::regclass::text, relowner::regrole::text, '', '', null from pg_class
    order by 1, 2, 3, 4, 5
"""


def test_applied_again_the_roles_and_grants_are_the_same(built: str) -> None:
    with psycopg.connect(built, autocommit=True) as connection:
        before = connection.execute(RIGHTS.encode()).fetchall()
        apply_roles(built, {})
        assert connection.execute(RIGHTS.encode()).fetchall() == before
    assert len(before) > 100


def test_a_grant_on_the_tables_of_tomorrow_that_is_no_longer_written_goes(owner_url: str) -> None:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("alter default privileges in schema raw grant all on tables to bechdel_training")
        apply_roles(owner_url, {})
        connection.execute("create table raw.tomorrow (n int)")
        with connect_as(owner_url, "training") as training, pytest.raises(psycopg.errors.InsufficientPrivilege):
            training.execute("select 1 from raw.tomorrow")
        with connect_as(owner_url, "ingest") as ingest:
            ingest.execute("select 1 from raw.tomorrow")
        connection.execute("drop table raw.tomorrow")


def test_a_grant_that_is_no_longer_written_goes(owner_url: str) -> None:
    with psycopg.connect(owner_url) as connection:
        connection.execute(
            "grant usage on schema ops to bechdel_serving; grant all on all tables in schema ops to bechdel_serving"
        )
    apply_roles(owner_url, {})
    with connect_as(owner_url, "serving") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select 1 from ops.step_runs")


def test_who_may_not_make_roles_is_told_what_is_needed(database_url: str) -> None:
    with pytest.raises(DatabaseError, match="CREATEROLE"):
        apply_roles(database_url, {})
