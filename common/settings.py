"""Every setting of the platform, read once from the environment (and `.env`), typed and checked."""

import getpass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import Field, HttpUrl, SecretStr, TypeAdapter, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from common.errors import SettingsError
from common.secret_files import read_secret

ROOT = Path(__file__).resolve().parent.parent

# Each may also stand in a file that `<NAME>_FILE` names.
SECRETS = ("db_connection_string", "db_password", "kaggle_key", "tmdb_api_token", "mlflow_tracking_password")

Port = Annotated[int, Field(ge=1, le=65535)]


def _login_name() -> str:
    """The name of who runs this, `unknown` where the system has none (an arbitrary uid in a container)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


class _SecretFiles(PydanticBaseSettingsSource):
    """Takes each secret, or the file that `<NAME>_FILE` names, from the first place that has one of the two."""

    def __init__(self, settings_cls: type[BaseSettings], *places: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._places = [
            {name.upper(): value for name, value in place.env_vars.items()}
            for place in places
            if isinstance(place, EnvSettingsSource)
        ]

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        del field
        for place in self._places:
            found = read_secret(field_name.upper(), place)
            if found:
                return found, field_name, False
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        fields = self.settings_cls.model_fields
        found = {name: self.get_field_value(fields[name], name)[0] for name in SECRETS}
        return {name: value for name, value in found.items() if value}


class Settings(BaseSettings):
    """The platform's settings; each field is the environment variable of the same name in upper case."""

    model_config = SettingsConfigDict(
        env_file=ROOT / ".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    db_connection_string: str | None = Field(
        default=None,
        description="PostgreSQL to use, as postgresql://user:password@host:port/database; unset: the embedded one",
    )
    db_password: SecretStr | None = Field(
        default=None, description="password for DB_CONNECTION_STRING where that names a user without one"
    )
    embedded_db_port: Port = Field(default=54329, description="port of the embedded PostgreSQL on 127.0.0.1")
    state_dir: Path = Field(
        default=ROOT / ".local", description="where the embedded database, artifacts, downloads and logs live"
    )

    movies_source: str = Field(
        default="auto", description="auto, kaggle, sample, or the path of a .csv or .csv.gz in Kaggle's layout"
    )
    tmdb_payloads: Path | None = Field(
        default=None, description="TMDB-shaped JSON lines (.jsonl or .jsonl.gz) to load beside the films"
    )
    sample_films: Annotated[int, Field(ge=1)] = Field(
        default=8000, description="films that the sample generator makes"
    )
    sample_seed: int = Field(
        default=7, description="seed of the sample generator; the same seed gives the same bytes"
    )
    kaggle_username: str | None = Field(default=None, description="Kaggle user, unless kaggle.json lies in the root")
    kaggle_key: SecretStr | None = Field(
        default=None, description="Kaggle API key, unless kaggle.json lies in the root"
    )

    tmdb_api_token: SecretStr | None = Field(
        default=None, description="TMDB API Read Access Token; unset: only loaded films are answered"
    )
    tmdb_api_base_url: str = Field(
        default="https://api.themoviedb.org/3", description="TMDB's address, or that of a mirror"
    )

    host: str = Field(default="127.0.0.1", description="address that the server listens on")
    port: Port = Field(default=5000, description="port of the page and the API")
    serving_workers: Annotated[int, Field(ge=1, le=64)] = Field(
        default=2, description="processes that answer; each holds the model, about 400 MB"
    )
    serving_threads: Annotated[int, Field(ge=1, le=256)] = Field(
        default=16, description="requests at a time in each of them; waiting for TMDB holds one"
    )
    rate_limit: Annotated[int, Field(ge=0)] = Field(
        default=1200, description="requests a minute that one address may ask of each process; 0: no limit"
    )
    trusted_proxies: Annotated[int, Field(ge=0, le=10)] = Field(
        default=0, description="proxies of yours in front, whose X-Forwarded-For and -Proto are believed"
    )
    cors_origins: str | None = Field(
        default=None, description="sites whose scripts may ask the API, separated by commas; `*`: all; unset: none"
    )
    mlflow_port: Port = Field(default=5001, description="port of the MLflow server that `make up` starts")
    mlflow_tracking_uri: str | None = Field(
        default=None, description="an existing MLflow server; unset: the one that `make up` starts"
    )
    mlflow_tracking_username: str = Field(default="admin", description="who logs in to MLflow")
    mlflow_tracking_password: SecretStr | None = Field(
        default=None, description="their password, which `make up` then gives its MLflow; unset: no login"
    )

    username: str = Field(default_factory=_login_name, description="who is recorded on MLflow runs")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="how much is logged")

    @property
    def database_url(self) -> str:
        """The PostgreSQL in use: DB_CONNECTION_STRING, with DB_PASSWORD where it has none, else the embedded one."""
        if self.db_connection_string is None:
            return f"postgresql://bechdel@127.0.0.1:{self.embedded_db_port}/bechdel"
        parts = urlsplit(self.db_connection_string)
        if self.db_password is None or parts.username is None or parts.password:
            return self.db_connection_string
        user, _, server = parts.netloc.rpartition("@")
        password = quote(self.db_password.get_secret_value(), safe="")
        return urlunsplit(parts._replace(netloc=f"{user.rstrip(':')}:{password}@{server}"))

    @property
    def has_kaggle_credentials(self) -> bool:
        """Whether Kaggle can be asked: by the two variables, or by a kaggle.json in the root."""
        return bool(self.kaggle_username and self.kaggle_key) or (ROOT / "kaggle.json").exists()

    @property
    def tracking_uri(self) -> str:
        """The MLflow server in use: MLFLOW_TRACKING_URI, else the one that `make up` starts."""
        return self.mlflow_tracking_uri or f"http://127.0.0.1:{self.mlflow_port}"

    @property
    def mlflow_login(self) -> tuple[str, str] | None:
        """Name and password for MLflow; None: it asks for none."""
        if self.mlflow_tracking_password is None:
            return None
        return self.mlflow_tracking_username, self.mlflow_tracking_password.get_secret_value()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before `.env`, and in each of them a secret or its file."""
        del file_secret_settings  # pydantic's own way names a folder, where Docker and Kubernetes name files
        secret_files = _SecretFiles(settings_cls, env_settings, dotenv_settings)
        return init_settings, secret_files, env_settings, dotenv_settings

    @field_validator("db_connection_string")
    @classmethod
    def _check_postgres_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"postgresql", "postgres"} or not parts.hostname or not parts.path.strip("/"):
            raise ValueError("must look like postgresql://user:password@host:5432/database")
        return value.replace("postgres://", "postgresql://", 1) if parts.scheme == "postgres" else value

    @field_validator("tmdb_api_base_url", "mlflow_tracking_uri")
    @classmethod
    def _check_http_url(cls, value: str | None) -> str | None:
        if value is not None:
            TypeAdapter(HttpUrl).validate_python(value)
            value = value.rstrip("/")
        return value

    @field_validator("state_dir", "tmdb_payloads")
    @classmethod
    def _make_absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().resolve() if value else None


def load_settings() -> Settings:
    """Read and check the settings.

    Raises:
        SettingsError: naming each variable that cannot be used, never its value.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"{str(e['loc'][0]).upper()}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
        )
        raise SettingsError(f"{problems}. Change it in the environment or in .env (see .env.example).") from None
