"""A model's contributions as sentences with numbers, and what could not be known."""

from collections.abc import Mapping, Sequence
from typing import Any

from common.feature_encoding import FeatureInfo
from common.sentences import describe, plain_value
from serving.schemas import Reason

MAX_REASONS = 6
MIN_CONTRIBUTION = 0.01  # in log-odds: less moves a probability by a quarter of a percent at most
MAX_TEXT = 80

# what a film lacks when the feature is null
FACTS = {
    "cast_members_count": "cast",
    "crew_members_count": "crew",
    "crew_directors_count": "directors",
    "genre_count": "genres",
    "production_budget_log": "budget",
    "production_runtime_minutes": "running time",
    "production_original_language": "original language",
    "production_main_country": "country",
    "production_studios_count": "studios",
    "production_release_year": "release day",
    "text_title_words_count": "title",
    "text_overview_words_count": "plot summary",
}


def explain(
    features: Mapping[str, FeatureInfo], values: Mapping[str, Any], contributions: Sequence[float]
) -> list[Reason]:
    """The strongest reasons, strongest first; of several with the same sentence only the strongest is told.

    Args:
        features: the model's features in its order.
        values: the film's feature values by name.
        contributions: shares in the log-odds of passing, in the order of `features`; more may follow.
    """
    infos, sizes = list(features.values()), list(map(abs, contributions))
    reasons: dict[str, Reason] = {}
    for place in sorted(range(len(infos)), key=sizes.__getitem__, reverse=True):
        if len(reasons) == MAX_REASONS or sizes[place] < MIN_CONTRIBUTION:
            break
        info, contribution = infos[place], contributions[place]
        text = describe(info, values)
        if text not in reasons:
            value = _cut(plain_value(values.get(info.name)))
            reasons[text] = Reason(feature=info.name, value=value, contribution=contribution, text=text)
    return list(reasons.values())


def find_missing(features: Mapping[str, FeatureInfo], values: Mapping[str, Any]) -> list[str]:
    """What could not be known about a film, in a few words each: `budget`, `gender of 24 of 56 cast members`.

    A feature is also null where there is nothing to know, as the share of female words in a title without any; only
    the facts below are missing when they are null.
    """
    missing = [_missing_genders(values), _missing_crew_genders(values)]
    for name, text in FACTS.items():
        if name in features and plain_value(values.get(name)) is None:
            missing.append(text)
    return [text for text in missing if text]


def _missing_genders(values: Mapping[str, Any]) -> str:
    members, known = (plain_value(values.get(f"cast_{name}_count")) for name in ("members", "known_gender"))
    if not isinstance(members, int) or not isinstance(known, int) or known >= members:
        return ""
    return f"gender of {members - known} of {members} cast members"


def _missing_crew_genders(values: Mapping[str, Any]) -> str:
    members, share = (plain_value(values.get(f"crew_{name}")) for name in ("members_count", "unknown_gender_share"))
    if not isinstance(members, int) or not isinstance(share, int | float) or share * members < 0.5:
        return ""
    return f"gender of {share * members:.0f} of {members} crew members"


def _cut(value: float | str | bool | None) -> float | str | bool | None:
    """A plot summary is the value of a feature, and too long to repeat it in a reason."""
    return f"{value[:MAX_TEXT]}…" if isinstance(value, str) and len(value) > MAX_TEXT else value
