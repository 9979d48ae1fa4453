"""Every error a person can do something about: one tree, each message one sentence with the value and the cure."""


class PlatformError(Exception):
    """Root of our errors; its text is shown to people as it is."""


class SettingsError(PlatformError):
    """A setting is missing or has a value that cannot be used."""


class DatabaseError(PlatformError):
    """PostgreSQL cannot be started or reached, or refused what we asked."""


class SourceError(PlatformError):
    """A data source (a file, Kaggle, the sample) cannot be read."""


class FeatureStoreError(PlatformError):
    """Feast or the dbt models behind it are not in the state that was expected."""


class NoTrainingRowsError(PlatformError):
    """There is no rated film to learn from."""


class ModelNotReadyError(PlatformError):
    """No champion is registered yet, or it cannot be loaded."""


class ServiceError(PlatformError):
    """A background service (PostgreSQL, MLflow, the server) did not start or stop as asked."""


class UnexpectedError(PlatformError):
    """A bug of ours, met while one film of several was answered."""


class MovieNotFoundError(PlatformError):
    """No film fits what was asked for."""


class AdultMovieError(MovieNotFoundError):
    """TMDB marks the film as adult: it is not answered, whoever else knows it."""


class AmbiguousTitleError(PlatformError):
    """Several films fit a title.

    Attributes:
        candidates: the films to choose from, best first.
    """

    def __init__(self, message: str, candidates: list[dict[str, object]]) -> None:
        super().__init__(message)
        self.candidates = candidates


class TmdbError(PlatformError):
    """TMDB could not answer."""


class TmdbNotConfiguredError(TmdbError):
    """A live film was asked for and no TMDB_API_TOKEN is set."""


class TmdbCredentialError(TmdbError):
    """TMDB refuses the credential."""


class TmdbUnavailableError(TmdbError):
    """TMDB is away, slow, limiting or answering nonsense."""


class TmdbNotAskedError(TmdbUnavailableError):
    """TMDB was not asked: it has failed several times in a row, or our limits left no time to.

    Attributes:
        wait_seconds: until it may be asked again.
    """

    def __init__(self, message: str, wait_seconds: float) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds
