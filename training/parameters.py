"""How the boosters are grown: chosen on development rows of the real films, never on reported ones."""

from dataclasses import asdict, dataclass

FEATURE_SERVICE = "movie_bechdel_v1"
REFERENCE_FEATURE_SERVICE = "movie_reference_v1"


@dataclass(frozen=True)
class Parameters:
    """Settings of one fit; what differs from LightGBM's defaults is for 5,000 noisy labels.

    Small trees, few features per tree and a strong penalty: the signal is spread over many weak features, and
    12 % of the passing films are marked as dubious by their own submitters.
    """

    num_leaves: int = 12
    learning_rate: float = 0.03
    min_data_in_leaf: int = 30
    feature_fraction: float = 0.2
    bagging_fraction: float = 0.7
    lambda_l2: float = 30.0
    max_rounds: int = 600
    folds: int = 5
    seed: int = 20

    def for_lightgbm(self) -> dict[str, object]:
        """LightGBM's own names; one thread and `deterministic`, so that the same data gives the same bytes."""
        shared = asdict(self)
        for ours in ("max_rounds", "folds"):
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
