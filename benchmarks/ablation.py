"""Which feature families earn their place: `python -m benchmarks.ablation`.

Learns from the older 80 % of the rated films and judges on the newest 20 %, once with everything that is known on
release day, then without each family, with each alone, and with history and what is known after release added. The
learner is LightGBM with the champion's settings and a fixed number of trees; texts enter as one score for each of
them, from a logistic regression over their words that never saw the film it scores. Prints the table and writes
reports/ablation.json.
"""

import argparse
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline

from common import cli
from common.environment import export
from common.feature_encoding import FeatureInfo
from common.logs import configure_logging
from common.settings import ROOT, load_settings
from training.dataset import load_dataset, load_labels, open_feature_store
from training.model import choose_features
from training.parameters import Parameters
from training.split import Split, split_by_release

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

SERVICE = "movie_bechdel_anytime_v1"
RELEASE_DAY = ("cast", "crew", "genre", "production", "text")
ROUNDS = 200
SEEDS = range(5)
RESAMPLES = 1000
REPORT = ROOT / "reports" / "ablation.json"


@dataclass(frozen=True)
class Result:
    """One set of families on the test films.

    Attributes:
        auc: area under the ROC curve of the mean score over all seeds.
        change: its difference from the release-day set.
        change_low: lower end of the 95 % interval of that difference over resampled test films.
        change_high: its upper end.
    """

    name: str
    families: tuple[str, ...]
    features: int
    auc: float
    change: float
    change_low: float
    change_high: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--report", type=Path, default=REPORT, help="where to write (default: %(default)s)")
    options = parser.parse_args(arguments)
    settings = load_settings()
    configure_logging(settings.log_level)
    export(settings)
    store = open_feature_store(ROOT / "feature_repo")
    # as of now: every family but after_release has its release-day values at any later time
    dataset = load_dataset(store, load_labels(settings.database_url), SERVICE, as_of=datetime.now(UTC))
    split = split_by_release(dataset.frame)
    results = compare(split, {name: dataset.features[name] for name in choose_features(dataset.features)})
    facts = {
        "films_learned": len(split.development),
        "films_judged": len(split.test),
        "test_from": str(split.test_from),
        "is_synthetic": bool(dataset.frame["is_synthetic"].any()),
        "rounds": ROUNDS,
        "seeds": len(SEEDS),
    }
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(json.dumps({**facts, "results": [asdict(result) for result in results]}, indent=2))
    print(format_table(facts, results))
    return 0


def feature_sets() -> dict[str, tuple[str, ...]]:
    """What to compare, by name; the first is what the others are compared with."""
    without = {f"without {gone}": tuple(f for f in RELEASE_DAY if f != gone) for gone in RELEASE_DAY}
    alone = {f"{family} alone": (family,) for family in (*RELEASE_DAY, "history", "after_release")}
    return {
        "release day (movie_bechdel_v1)": RELEASE_DAY,
        **without,
        "with history (movie_bechdel_history_v1)": (*RELEASE_DAY, "history"),
        "with after_release": (*RELEASE_DAY, "after_release"),
        "with both (movie_bechdel_anytime_v1)": (*RELEASE_DAY, "history", "after_release"),
        **alone,
    }


def compare(split: Split, features: Mapping[str, FeatureInfo]) -> list[Result]:
    """AUC of every feature set on the test films."""
    learned, judged = _as_numbers(split, features)
    answers = {part: (frame["bechdel_rating"] == 3).to_numpy() for part, frame in _parts(split).items()}
    scores: dict[str, Floats] = {}
    counts: dict[str, int] = {}
    for name, families in feature_sets().items():
        started = time.monotonic()
        columns = [feature for feature, info in features.items() if info.family in families]
        counts[name] = len(columns)
        scores[name] = _mean_score(learned[columns], answers["development"], judged[columns])
        logger.info("fitted set=%r features=%d seconds=%.1f", name, len(columns), time.monotonic() - started)
    return _results(scores, counts, answers["test"])


def format_table(facts: Mapping[str, object], results: Sequence[Result]) -> str:
    """The table as Markdown."""
    lines = [
        f"{facts['films_learned']} films learned, {facts['films_judged']} judged (released from {facts['test_from']})"
        + (", SYNTHETIC films" if facts["is_synthetic"] else ""),
        "",
        "| features | columns | AUC | change | 95 % interval |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    lines += [
        f"| {item.name} | {item.features} | {item.auc:.4f} | {item.change:+.4f} "
        f"| {item.change_low:+.4f} to {item.change_high:+.4f} |"
        for item in results
    ]
    return "\n".join(lines)


def _parts(split: Split) -> dict[str, pd.DataFrame]:
    return {"development": split.development, "test": split.test}


def _as_numbers(split: Split, features: Mapping[str, FeatureInfo]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both parts as numbers: categories as LightGBM's, texts as scores."""
    parts = {name: frame[list(features)].copy() for name, frame in _parts(split).items()}
    passes = (split.development["bechdel_rating"] == 3).to_numpy()
    for name, info in features.items():
        if info.kind == "category":
            for frame in parts.values():
                frame[name] = pd.Categorical(frame[name], categories=info.categories)
        elif info.kind == "text":
            texts = {part: frame[name].fillna("") for part, frame in parts.items()}
            learned, judged = _text_scores(texts["development"], passes, texts["test"])
            parts["development"][name], parts["test"][name] = learned, judged
    return parts["development"], parts["test"]


def _text_scores(learned: pd.Series, passes: NDArray[np.bool_], judged: pd.Series) -> tuple[Floats, Floats]:
    """Log-odds from the words: of learned films by models of the other folds, of judged ones by a model of all."""
    out_of_fold = np.zeros(len(learned))
    for others, fold in StratifiedKFold(5, shuffle=True, random_state=0).split(learned, passes):
        model = _text_model().fit(learned.iloc[others], passes[others])
        out_of_fold[fold] = model.decision_function(learned.iloc[fold])
    return out_of_fold, _text_model().fit(learned, passes).decision_function(judged)


def _text_model():  # type: ignore[no-untyped-def]  # scikit-learn ships no types
    return make_pipeline(
        TfidfVectorizer(min_df=3, sublinear_tf=True, ngram_range=(1, 2)), LogisticRegression(max_iter=500)
    )


def _mean_score(learned: pd.DataFrame, passes: NDArray[np.bool_], judged: pd.DataFrame) -> Floats:
    """Log-odds of the judged films, the mean over the seeds."""
    scores = []
    for seed in SEEDS:
        settings = {**Parameters().for_lightgbm(), "seed": seed}
        booster = lightgbm.train(settings, lightgbm.Dataset(learned, passes.astype(float)), ROUNDS)
        scores.append(booster.predict(judged, raw_score=True, num_threads=1))
    return np.mean(scores, axis=0)


def _results(scores: Mapping[str, Floats], counts: Mapping[str, int], passes: NDArray[np.bool_]) -> list[Result]:
    sets = feature_sets()
    baseline = scores[next(iter(sets))]
    generator = np.random.default_rng(20)
    samples = [generator.integers(0, len(passes), len(passes)) for _ in range(RESAMPLES)]
    base_auc = roc_auc_score(passes, baseline)
    base_samples = np.array([roc_auc_score(passes[rows], baseline[rows]) for rows in samples])
    results = []
    for name, score in scores.items():
        auc = roc_auc_score(passes, score)
        changes = np.array([roc_auc_score(passes[rows], score[rows]) for rows in samples]) - base_samples
        low, high = np.quantile(changes, [0.025, 0.975])
        results.append(Result(name, sets[name], counts[name], auc, auc - base_auc, float(low), float(high)))
    return results


if __name__ == "__main__":
    cli.run(main)
