"""Partial dependence: what each step sets, and that all films stand behind each mean."""

import numpy as np
import pytest

from training.billing import order_cast, read_cast
from training.dependence import _CAST_SWEEPS, GRID, _recast, _spread, _Women, sweep_features
from training.diagnostics import Judged
from training.evaluation import score_frame

PAYLOAD = {
    "id": 1,
    "credits": {
        "crew": ["kept"],
        "cast": [{"name": name, "order": order, "gender": 0} for order, name in ((5, "F"), *enumerate("ABCDE"))],
    },
}


def genders(women: _Women) -> str:
    changed = _recast(PAYLOAD, women)
    assert changed["credits"]["crew"] == ["kept"]
    return "".join("?wm"[member["gender"]] for member in order_cast(read_cast(changed)))


def test_steps_set_the_top_of_the_billing_and_leave_the_rest() -> None:
    count, place, _ = ([genders(women) for _, _, women in steps] for _, _, steps in _CAST_SWEEPS)

    assert count == ["mmmmm?", "wmmmm?", "wwmmm?", "wwwmm?", "wwwwm?", "wwwww?"]
    assert place == ["mmmmm?", "mmmmw?", "mmmwm?", "mmwmm?", "mwmmm?", "wmmmm?"]


def test_share_sets_the_whole_cast_evenly() -> None:
    _, _, steps = _CAST_SWEEPS[2]
    assert [label for label, _, _ in steps] == ["0%", "20%", "40%", "60%", "80%", "100%"]
    assert genders(0.0) == "mmmmmm"
    assert genders(0.5) == "mwmwmw"
    assert genders(1.0) == "wwwwww"
    assert [sum(_spread(share, 30)) for share in (0.2, 0.4, 0.6, 0.8)] == [6, 12, 18, 24]


def test_feature_alone_is_set_in_every_film_and_nothing_else_moves(judged: Judged) -> None:
    strongest = sweep_features(judged)[0]
    labels = [point.value for point in strongest.points]

    assert strongest.name == "cast_female_share"
    assert strongest.films == len(judged.films)
    assert len(labels) == GRID
    assert labels == sorted(labels)  # type: ignore[type-var]
    same = judged.films.assign(cast_female_share=labels[3])
    expected = score_frame(judged.evaluation.fit.scorer, same)[:, 3].mean()
    assert strongest.points[3].probability == pytest.approx(expected, abs=1e-5)
    changes = [point.change for point in strongest.points[1:]]
    assert np.sum(changes) == pytest.approx(
        strongest.points[-1].probability - strongest.points[0].probability, abs=1e-4
    )
