"""Kinds of films on which the model is judged apart."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Bools = NDArray[np.bool_]

# The languages and genres with the most films; the rest of them hold too few to say anything about.
MOST_COMMON = 6
_GENRE_PREFIX = "genre_is_"
# Thirds of the known budgets, so that their unit does not matter.
_BUDGET_NAMES = ("small", "middle", "large")
_KNOWN_GENDER_STEPS = ((0.0, 0.5, "below half"), (0.5, 0.8, "half to 80%"), (0.8, 1.0001, "80% and more"))


def slice_films(films: pd.DataFrame) -> dict[str, dict[str, Bools]]:
    """Masks over the films by kind (decade, genre, language, budget, known_genders), then by name.

    A kind whose feature the films do not have is left out. A film may be of several genres and of no language.
    """
    kinds = {
        "decade": _by_decade(films),
        "genre": _by_genre(films),
        "language": _by_language(films),
        "budget": _by_budget(films),
        "known_genders": _by_known_genders(films),
    }
    return {kind: masks for kind, masks in kinds.items() if masks}


def flatten_slices(kinds: Mapping[str, Mapping[str, Bools]]) -> dict[str, Bools]:
    """The masks by `kind name`."""
    return {f"{kind} {name}": mask for kind, masks in kinds.items() for name, mask in masks.items()}


def _by_decade(films: pd.DataFrame) -> dict[str, Bools]:
    decades = films["event_timestamp"].dt.year.to_numpy() // 10 * 10
    return {f"{decade}s": decades == decade for decade in np.unique(decades)}


def _by_genre(films: pd.DataFrame) -> dict[str, Bools]:
    columns = [name for name in films.columns if name.startswith(_GENRE_PREFIX)]
    masks = {_genre_name(name): films[name].eq(1.0).to_numpy(dtype=np.bool_) for name in columns}
    return dict(sorted(masks.items(), key=lambda item: -int(item[1].sum()))[: 2 * MOST_COMMON])


def _genre_name(column: str) -> str:
    return column.removeprefix(_GENRE_PREFIX).replace("_", " ")


def _by_language(films: pd.DataFrame) -> dict[str, Bools]:
    if "production_original_language" not in films:
        return {}
    languages = films["production_original_language"]
    common = languages.value_counts().index[:MOST_COMMON]
    masks = {str(language): (languages == language).to_numpy(dtype=np.bool_) for language in common}
    rest = (languages.notna() & ~languages.isin(common)).to_numpy(dtype=np.bool_)
    return {**masks, "other": rest} if rest.any() else masks


def _by_budget(films: pd.DataFrame) -> dict[str, Bools]:
    if "production_budget_log" not in films:
        return {}
    budgets = films["production_budget_log"].to_numpy(dtype=np.float64)
    known = ~np.isnan(budgets)
    if not known.any():
        return {"unknown": ~known}
    cuts = np.quantile(budgets[known], [1 / 3, 2 / 3])
    third = np.where(known, np.searchsorted(cuts, budgets), -1)
    return {
        **{name: third == position for position, name in enumerate(_BUDGET_NAMES)},
        "unknown": ~known,
    }


def _by_known_genders(films: pd.DataFrame) -> dict[str, Bools]:
    if "cast_unknown_gender_share" not in films:
        return {}
    known = 1.0 - films["cast_unknown_gender_share"].to_numpy(dtype=np.float64)
    masks = {name: (known >= low) & (known < high) for low, high, name in _KNOWN_GENDER_STEPS}
    return {**masks, "no cast": np.isnan(known)}
