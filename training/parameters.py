"""How the boosters are grown: chosen on development rows of the real films, never on reported ones."""

from dataclasses import asdict, dataclass

FEATURE_SERVICE = "movie_bechdel_v1"
REFERENCE_FEATURE_SERVICE = "movie_reference_v1"

# Settings of the fit around the boosters, unknown to LightGBM.
_OURS = ("max_rounds", "folds", "dubious_weight")


@dataclass(frozen=True)
class Parameters:
    """Settings of one fit, for 5,000 noisy labels: 12 % of the passing films are dubious to their own submitters.

    Small trees, few features per tree and a penalty, because the signal is spread over many weak features. Thirteen
    neighbours of these settings (leaves 6 to 16, rates 0.03 to 0.06, features 0.1 to 0.35, penalties 10 to 80)
    differ by 0.002 in out-of-fold log-loss, so the small trees win: a film's contributions cost half as much.
    """

    num_leaves: int = 8
    learning_rate: float = 0.05
    min_data_in_leaf: int = 30
    feature_fraction: float = 0.2
    bagging_fraction: float = 0.7
    lambda_l2: float = 10.0
    max_rounds: int = 500
    folds: int = 5
    seed: int = 20
    dubious_weight: float = 0.5
    extra_trees: bool = True

    def for_lightgbm(self) -> dict[str, object]:
        """LightGBM's own names; one thread and `deterministic`, so that the same data gives the same bytes."""
        shared = asdict(self)
        for ours in _OURS:
            del shared[ours]
        return {
            **shared,
            "objective": "binary",
            "bagging_freq": 1,
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
