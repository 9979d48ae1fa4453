"""Which films to load: `auto`, `kaggle`, `sample`, or the path of a file."""

import logging
from dataclasses import dataclass
from pathlib import Path

from common.errors import SourceError
from common.settings import ROOT, Settings
from ingestion import kaggle
from ingestion.sample.files import ensure as ensure_sample

logger = logging.getLogger(__name__)

AUTO, KAGGLE, SAMPLE, FILE = "auto", "kaggle", "sample", "file"


@dataclass(frozen=True)
class Source:
    """Files to load.

    Attributes:
        name: `kaggle`, `sample` or `file`, as in `raw.movies.source`.
        movies: csv in Kaggle's layout.
        payloads: TMDB-shaped JSON lines, if there are any.
    """

    name: str
    movies: Path
    payloads: Path | None


def fetch(wanted: str, settings: Settings) -> Source:
    """Have the files of a source on this machine, downloading or generating what is not there yet.

    Args:
        wanted: as MOVIES_SOURCE.

    Raises:
        SourceError: Kaggle or the file cannot be read.
    """
    if wanted in {AUTO, KAGGLE}:
        credentials = kaggle.find_credentials(settings.kaggle_username, settings.kaggle_key, folder=ROOT)
        if wanted == KAGGLE or credentials is not None:
            return Source(KAGGLE, kaggle.download(settings.state_dir / "kaggle", credentials), None)
        logger.warning(
            "no Kaggle credentials: the SYNTHETIC sample is used, its films and people do not exist. "
            "For real films put kaggle.json into the root, or set MOVIES_SOURCE to a csv file."
        )
    if wanted in {AUTO, SAMPLE}:
        return _sample(settings)
    path = Path(wanted).expanduser()
    if not path.is_file():
        raise SourceError(
            f"There is no file {path}. MOVIES_SOURCE is auto, kaggle, sample, or the path of a .csv or .csv.gz file."
        )
    return Source(FILE, path, None)


def _sample(settings: Settings) -> Source:
    films, seed = settings.sample_films, settings.sample_seed
    files = ensure_sample(settings.state_dir / "sample" / f"films-{films}-seed-{seed}", films=films, seed=seed)
    return Source(SAMPLE, files.movies, files.payloads)
