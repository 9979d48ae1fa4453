"""docker-compose.yml and the image: valid to their own tools, and as an operator would want them."""

import json
import os
import re
import stat
import subprocess
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.settings import Settings
from deploy import rehearse
from deploy.refresh import STEPS
from orchestration import mlflow_server
from orchestration.roles import PARTS, password_variable, role_name
from orchestration.runtime import Runtime
from orchestration.services import Service
from tests.deploy_files import (
    FIXED_IN_THE_IMAGE,
    NOT_FOR_CONTAINERS,
    NOT_SETTINGS,
    ROOT,
    SECRETS,
    compose,
    compose_with_files,
    run,
    tool,
)

SETTINGS = {name.upper() for name in Settings.model_fields}
SERVERS = ("postgres", "mlflow", "web")
OF_CONTAINERS = {"MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME"}  # where and as whom the parts meet MLflow
JOBS = ("prepare", "ingest", "dbt", "features", "train")


def services() -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"]
    return found


def test_compose_has_every_part() -> None:
    assert set(services()) == {*SERVERS, *JOBS, "backup", "scheduler"}


def test_compose_follows_its_specification() -> None:
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")


def test_the_specification_finds_a_misspelt_key(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text((ROOT / "docker-compose.yml").read_text().replace("depends_on:", "depends:", 1))
    with pytest.raises(AssertionError, match="depends"):
        run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(wrong))


def test_every_image_is_pinned_to_a_version() -> None:
    images = {service["image"] for service in services().values()}
    froms = set(re.findall(r"^FROM (\S+)", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE))
    for image in images | froms:
        assert re.search(r":\d+\.\d+(\.\d+)?(-[\w.-]+)?$", image), image


def test_postgres_keeps_its_data_where_its_major_version_wants_it() -> None:
    postgres = services()["postgres"]
    major = int(postgres["image"].split(":")[1].split(".")[0])
    targets = [volume["target"] for volume in postgres["volumes"]]
    assert targets == ["/var/lib/postgresql" if major >= 18 else "/var/lib/postgresql/data"]


def test_ports_are_published_on_this_machine_only() -> None:
    published = [port for service in services().values() for port in service.get("ports", [])]
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}
    assert "ports" not in services()["postgres"]


def test_opening_the_page_to_the_network_does_not_open_mlflow() -> None:
    passwords = dict.fromkeys(SECRETS, "value")
    text = run("docker-compose", "--env-file", "/dev/null", "config", "--format", "json",
               BIND_ADDRESS="0.0.0.0", **passwords)  # noqa: S104 - what an operator may say  # fmt: skip
    ports = {name: service.get("ports", []) for name, service in json.loads(text)["services"].items()}
    assert [port["host_ip"] for port in ports["web"]] == ["0.0.0.0"]  # noqa: S104 - what an operator said
    assert [port["host_ip"] for port in ports["mlflow"]] == ["127.0.0.1"]


@pytest.mark.parametrize("command", [Runtime(Settings(_env_file=None)).mlflow, None], ids=["make up", "containers"])
def test_mlflow_answers_to_its_own_names_only_and_keeps_artifacts_in_one_place(command: Service | None) -> None:
    arguments = command.command if command else tuple(services()["mlflow"]["command"])
    text = " ".join(arguments).replace("=", " ")
    hosts = re.findall(r"--allowed-hosts (\S+)", text)[0].split(",")

    assert {host.split(":")[0] for host in hosts} <= {"mlflow", "localhost", "127.0.0.1"}
    assert re.search(r"--artifacts-destination (/artifacts|\S+/mlflow/artifacts)( |$)", text)
    assert "--x-frame-options DENY" in text
    assert ("--host 127.0.0.1" in text) == (command is not None)


def test_mlflow_is_of_a_version_without_the_known_hole() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock"):
        (version,) = re.findall(r"^mlflow==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
        assert tuple(map(int, version.split("."))) >= (3, 16, 1), "CVE-2026-2635"


def test_every_server_has_a_health_check_and_restarts() -> None:
    for name in SERVERS:
        assert services()[name]["restart"] == "unless-stopped"
        assert "disable" not in services()[name].get("healthcheck", {})
    assert services()["postgres"]["healthcheck"]["test"]
    assert services()["mlflow"]["healthcheck"]["test"]
    assert "HEALTHCHECK" in (ROOT / "deploy" / "Dockerfile").read_text()  # the server's own


@pytest.mark.parametrize("name", [*SERVERS, *JOBS, "backup", "scheduler"])
def test_containers_are_hardened(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")
    if name != "postgres":  # its entry point becomes the user postgres by itself
        assert service["user"] == "10001:10001"


def test_no_secret_stands_in_the_file() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert re.findall(r"://\w+:(?!\$\{)[^@\s]*@", text) == []
    for name in SECRETS:
        assert re.search(rf"\$\{{{name}:\?", text), f"{name} must be asked for, without a default"
        assert not re.search(rf"\$\{{{name}:?-", text)


def test_compose_refuses_to_start_without_passwords() -> None:
    done = subprocess.run(
        [tool("docker-compose"), "--env-file", "/dev/null", "config"],
        cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "deploy/passwords.py" in done.stderr


def test_each_part_uses_its_own_role_and_knows_no_other_password() -> None:
    users = {"ingest": "ingest", "dbt": "dbt", "features": "feast", "train": "training", "web": "serving"}
    for name, part in users.items():
        environment = services()[name]["environment"]
        value = f"{password_variable(part).lower()}-value"
        assert environment["DB_CONNECTION_STRING"].startswith(
            f"postgresql://{role_name(part)}:{value}@postgres:5432/"
        )
        assert [key for key in environment if key.endswith("_DB_PASSWORD")] == []
    asked_of_roles = {"OWNER_DB_PASSWORD", *(password_variable(part) for part in PARTS)}
    assert {name for name in SECRETS if name.endswith("_DB_PASSWORD")} == asked_of_roles


def test_the_scheduler_knows_the_password_of_every_step() -> None:
    asked = {password_variable(step.part) for step in STEPS}
    named = {key for key in services()["scheduler"]["environment"] if key.endswith("_DB_PASSWORD")}
    assert named == asked


def test_mlflow_asks_for_a_login_and_each_part_has_its_own() -> None:
    environments = {name: service.get("environment", {}) for name, service in services().items()}
    assert {name: environments["mlflow"][name] for name in (*mlflow_server.PASSWORDS.values(),)} == {
        "MLFLOW_TRAINING_PASSWORD": "mlflow_training_password-value",
        "MLFLOW_SERVING_PASSWORD": "mlflow_serving_password-value",
    }
    users = {"mlflow": "admin", "train": mlflow_server.WRITER, "scheduler": mlflow_server.WRITER,
             "web": mlflow_server.READER}  # fmt: skip
    for name, environment in environments.items():
        assert environment.get("MLFLOW_TRACKING_USERNAME") == users.get(name)
        if name in users:
            assert environment["MLFLOW_TRACKING_PASSWORD"] == f"mlflow_{users[name]}_password-value"


def test_with_files_no_password_stands_in_an_environment() -> None:
    config = compose_with_files()
    for name, service in config["services"].items():
        values = service.get("environment", {})
        assert [key for key, value in values.items() if "in-a-file" in str(value)] == [], name
        assert [key for key in values if key.endswith("PASSWORD")] == [], name
        files = {value for key, value in values.items() if key.endswith("_FILE")}
        assert files == {f"/run/secrets/{secret['source']}" for secret in service.get("secrets", [])}, name
    folder = str(ROOT / "deploy" / "secrets")
    assert {secret["file"] for secret in config["secrets"].values()} == {
        f"{folder}/{name.lower()}" for name in SECRETS
    }


def test_with_files_every_part_still_gets_what_it_needs() -> None:
    for name, service in compose_with_files()["services"].items():
        named = {key.removesuffix("_FILE") for key in service.get("environment", {})} - {"DB_PASSWORD"}
        assert named == set(services()[name].get("environment", {})), name
        wrapped = service["command"][-len(services()[name]["command"]) :]
        assert wrapped == services()[name]["command"], name


def test_the_files_are_made_once_behind_a_closed_door(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "dbt_db_password").write_text("kept")
    for _ in range(2):
        run("python", "deploy/passwords.py", "--files", str(folder))
    found = {file.name: file.read_text() for file in folder.iterdir()}
    assert set(found) == {name.lower() for name in SECRETS}
    assert found.pop("dbt_db_password") == "kept"
    assert all(re.fullmatch(r"[\w-]{43}", value) for value in found.values())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_settings_are_those_of_the_code() -> None:
    named = {key for service in services().values() for key in service.get("environment", {})}
    named |= {
        key.removesuffix("_FILE")
        for service in compose_with_files()["services"].values()
        for key in service.get("environment", {})
    }
    unknown = {key for key in named - SETTINGS if not NOT_SETTINGS.fullmatch(key)}
    assert unknown == set()
    assert SETTINGS - named - FIXED_IN_THE_IMAGE - NOT_FOR_CONTAINERS == set()


def test_defaults_are_those_of_the_code() -> None:
    for service in services().values():
        for name, value in service.get("environment", {}).items():
            default = Settings.model_fields[name.lower()].default if name in SETTINGS else None
            if isinstance(default, int | str) and name not in OF_CONTAINERS:
                assert value == str(default), name


def test_jobs_run_in_the_order_of_make_up() -> None:
    for earlier, later in (("prepare", "ingest"), ("ingest", "dbt"), ("dbt", "features"), ("features", "train")):
        condition = services()[later]["depends_on"][earlier]["condition"]
        assert condition == "service_completed_successfully"


def test_commands_exist_in_the_code() -> None:
    for name in (*JOBS, "mlflow", "web", "backup", "scheduler"):
        program, *arguments = [*(services()[name]["entrypoint"] or []), *services()[name]["command"]]
        target = arguments[1].replace(".", "/") if arguments[0] == "-m" else arguments[0]
        if program == "python":
            assert (ROOT / target).is_dir() or (ROOT / target).with_suffix(".py").exists(), target


def test_the_dockerfile_satisfies_its_linter() -> None:
    run("hadolint", "deploy/Dockerfile")


def test_the_image_runs_as_nobody_special_and_installs_hashed_wheels_only() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    final = text.split("\nFROM ")[-1]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert "--require-hashes" in text
    assert "--only-binary :all:" in text
    assert not re.search(r"gcc|build-essential|g\+\+", text)


def test_the_image_is_built_in_two_stages_and_says_what_it_is() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    labels = dict(re.findall(r'org\.opencontainers\.image\.([\w.]+)="([^"]+)"', text))
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    _, last = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert set(labels) >= {"title", "description", "licenses", "version", "revision"}
    assert labels["base.name"] == f"docker.io/library/{last}"
    assert f"ARG VERSION={version}\n" in text
    assert services()["web"]["image"] == f"bechdel-platform:{version}"


def test_the_image_stays_under_one_and_a_half_gigabytes() -> None:
    """Estimated from the locked packages as installed here; the base is assumed (CI measures a real image)."""
    locked = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    installed = {re.sub(r"[-_.]+", "-", part.name).lower(): part for part in distributions()}
    files = {
        Path(str(part.locate_file(file)))
        for name in locked
        if (part := installed.get(name))
        for file in part.files or ()
    }
    assert len(set(locked) & set(installed)) > 0.9 * len(locked)  # a few are for other systems and versions
    assert [name for name in locked if re.match(r"nvidia|cuda|torch|triton", name)] == []
    assert 700 < rehearse.image_megabytes(file for file in files if file.is_file()) < 1500


def test_the_image_holds_every_package_and_nothing_ignored() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    copied = {path for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for path in line.split()}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == allowed
    assert {"common", "ingestion", "dbt_project", "feast_stores", "feature_repo", "training", "serving"} <= copied


def test_the_passwords_file_is_made_once_and_is_private(tmp_path: Path) -> None:
    file = tmp_path / "made.env"
    file.write_text("TMDB_API_TOKEN=kept\nDBT_DB_PASSWORD=kept")
    for _ in range(2):
        run("python", "deploy/passwords.py", "--file", str(file))
    lines = dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
    assert {name: lines[name] for name in ("TMDB_API_TOKEN", "DBT_DB_PASSWORD")} == {
        "TMDB_API_TOKEN": "kept",
        "DBT_DB_PASSWORD": "kept",
    }
    assert set(SECRETS) <= set(lines)
    assert all(re.fullmatch(r"[\w-]{43}", lines[name]) for name in SECRETS if name != "DBT_DB_PASSWORD")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_compose_file_is_plain_yaml() -> None:
    assert yaml.safe_load((ROOT / "docker-compose.yml").read_text())["name"] == "bechdel"
