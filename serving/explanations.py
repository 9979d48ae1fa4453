"""A model's contributions as sentences with numbers, and what could not be known."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from common.sentences import describe, plain_value
from serving.schemas import Reason

if TYPE_CHECKING:
    from common.scoring import FeatureInfo

MAX_REASONS = 6
MIN_CONTRIBUTION = 0.01  # in log-odds: less moves a probability by a quarter of a percent at most
MAX_MISSING = 12
MAX_TEXT = 80


def explain(
    features: Mapping[str, "FeatureInfo"], values: Mapping[str, Any], contributions: Sequence[float]
) -> list[Reason]:
    """The strongest reasons, strongest first; of several with the same sentence only the strongest is told.

    Args:
        features: the model's features in its order.
        values: the film's feature values by name.
        contributions: shares in the log-odds of passing, in the order of `features`; more may follow.
    """
    ranked = sorted(zip(features.values(), contributions, strict=False), key=lambda pair: abs(pair[1]), reverse=True)
    reasons: dict[str, Reason] = {}
    for info, contribution in ranked:
        if abs(contribution) < MIN_CONTRIBUTION or len(reasons) == MAX_REASONS:
            break
        text = describe(info, values)
        value = _cut(plain_value(values.get(info.name)))
        reasons.setdefault(text, Reason(feature=info.name, value=value, contribution=float(contribution), text=text))
    return list(reasons.values())


def find_missing(features: Mapping[str, "FeatureInfo"], values: Mapping[str, Any]) -> list[str]:
    """What could not be known about a film, in sentences, each once."""
    known, members = (plain_value(values.get(f"cast_{name}_count")) for name in ("known_gender", "members"))
    sentences: dict[str, None] = {}
    if isinstance(members, int | float) and isinstance(known, int | float) and known < members:
        sentences[f"gender of {members - known:.0f} of {members:.0f} cast members"] = None
    for info in features.values():
        if plain_value(values.get(info.name)) is None and info.sentence_null:
            sentences.setdefault(info.sentence_null)
    return list(sentences)[:MAX_MISSING]


def _cut(value: float | str | bool | None) -> float | str | bool | None:
    """A plot overview is the value of a feature, and too long to repeat it in a reason."""
    return f"{value[:MAX_TEXT]}…" if isinstance(value, str) and len(value) > MAX_TEXT else value
