"""Who was champion when: the alias moves here and nowhere else, and every version keeps its periods as a tag."""

from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from common.errors import ModelNotReadyError
from common.film_kind import describe_misfit
from common.model_registry import find_by_alias

CHAMPION = "champion"
# "begin/end" in ISO 8601, UTC, several separated by spaces; the end is empty while it lasts.
PERIODS = "champion_periods"


@dataclass(frozen=True)
class Period:
    """A time in which a version was the champion.

    Attributes:
        version: which one.
        began: UTC.
        ended: UTC; None while it lasts.
    """

    version: str
    began: datetime
    ended: datetime | None


def find_champion(client: MlflowClient, name: str) -> ModelVersion | None:
    """The version that bears the alias; None when there is none."""
    return find_by_alias(client, name, CHAMPION)


def crown(client: MlflowClient, name: str, version: str, *, now: datetime | None = None) -> None:
    """Make a version the champion, and write down when it began and the last one ended."""
    now = now or datetime.now(UTC)
    former = find_champion(client, name)
    if former is not None and str(former.version) == version:
        return
    client.set_registered_model_alias(name, CHAMPION, version)
    if former is not None:
        _write(client, name, str(former.version), _end(_periods_of(former), now))
    crowned = client.get_model_version(name, version)
    past = _read(version, crowned.tags.get(PERIODS, ""))
    _write(client, name, version, [*past, Period(version, now, None)])


def roll_back(client: MlflowClient, name: str, *, to: str | None = None, films: str | None = None) -> tuple[str, str]:
    """Give the alias back to an earlier champion, or to any version.

    Args:
        client: of the registry.
        name: the registered model.
        to: the version; None for the champion before the present one.
        films: the kind of the films that are loaded (see `common.film_kind`); None when it does not matter.

    Returns:
        The version that was champion and the one that is now.

    Raises:
        ModelNotReadyError: there is no champion, no earlier one or no such version, or it learned from films of the
            other kind.
    """
    champion = find_champion(client, name)
    if champion is None:
        raise ModelNotReadyError(f"{name} has no champion that could be rolled back. Train one: make train-model.")
    present = str(champion.version)
    chosen = to or _find_earlier(client, name, present, films)
    try:
        version = client.get_model_version(name, chosen)
    except MlflowException as error:
        raise ModelNotReadyError(
            f"{name} has no version {chosen}. `python -m training history` lists them."
        ) from error
    if chosen == present:
        raise ModelNotReadyError(f"Version {chosen} of {name} is the champion already.")
    misfit = describe_misfit(version.tags, films)
    if misfit is not None:
        raise ModelNotReadyError(
            f"Version {chosen} of {name} {misfit}, for which it must not answer: version {present} stays champion."
        )
    crown(client, name, chosen)
    client.set_model_version_tag(name, present, "rolled_back", f"replaced by version {chosen}, by hand")
    return present, chosen


def _find_earlier(client: MlflowClient, name: str, present: str, films: str | None) -> str:
    periods = read_history(client, name)
    first = min((period.began for period in periods if period.version == present), default=None)
    earlier = [period for period in periods if first and period.version != present and period.began < first]
    if earlier:
        return earlier[-1].version
    others = [
        int(version.version)
        for version in client.search_model_versions(f"name = '{name}'")
        if str(version.version) != present and describe_misfit(version.tags, films) is None
    ]
    cure = f" Name one: python -m training rollback --to {max(others)}." if others else ""
    raise ModelNotReadyError(f"No champion of {name} came before version {present}.{cure}")


def read_history(client: MlflowClient, name: str) -> list[Period]:
    """Every period of every version that still exists, oldest first."""
    versions = client.search_model_versions(f"name = '{name}'")
    champion = find_champion(client, name)
    periods = [
        period
        for version in versions
        for period in (
            _periods_of(version)
            if champion is not None and version.version == champion.version
            else _read(str(version.version), version.tags.get(PERIODS, ""))
        )
    ]
    return sorted(periods, key=lambda period: period.began)


def _periods_of(champion: ModelVersion) -> list[Period]:
    """The champion's periods; one that got its alias elsewhere was champion since it was registered."""
    version = str(champion.version)
    known = _read(version, champion.tags.get(PERIODS, ""))
    if known and known[-1].ended is None:
        return known
    registered = datetime.fromtimestamp(champion.creation_timestamp / 1000, UTC)
    return [*known, Period(version, known[-1].ended or registered if known else registered, None)]


def _end(periods: list[Period], now: datetime) -> list[Period]:
    return [Period(period.version, period.began, period.ended or now) for period in periods]


def _read(version: str, text: str) -> list[Period]:
    ends = (period.split("/") for period in text.split())
    return [
        Period(version, datetime.fromisoformat(began), datetime.fromisoformat(ended) if ended else None)
        for began, ended in ends
    ]


def _write(client: MlflowClient, name: str, version: str, periods: list[Period]) -> None:
    text = " ".join(
        f"{period.began.isoformat()}/{period.ended.isoformat() if period.ended else ''}" for period in periods
    )
    client.set_model_version_tag(name, version, PERIODS, text)
