"""The trained model as MLflow's pyfunc flavour reads it: `mlflow models serve` answers as our server does.

MLflow imports this module by name (`loader_module`) and hands it the Scorer's directory, so that no pickle is
involved. A request holds one record per film with the model's features by name.
"""

from pathlib import Path

import pandas as pd

from common.scoring import Scorer

OUTPUT_COLUMNS = ("rating_0", "rating_1", "rating_2", "rating_3")

# MLflow 3.17 turns a null string of a request in the `inputs` form into this word (numpy's str type does), while
# `dataframe_records` keep it null. Without the cure such a film would be scored as if "None" were its tagline.
_NULL_STRING = "None"


class PyfuncModel:
    """What MLflow asks of a pyfunc: `predict()`."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer

    def predict(
        self,
        model_input: pd.DataFrame,
        params: dict[str, object] | None = None,  # noqa: ARG002  MLflow passes it by name
    ) -> pd.DataFrame:
        """P(rating 0) to P(rating 3) of each film, in the columns OUTPUT_COLUMNS."""
        known = model_input.notna() & (model_input != _NULL_STRING)
        nulled = model_input.astype("object").where(known, None)  # type: ignore[call-overload]  # as in training.dataset
        records = nulled.to_dict("records")
        rows = [{str(name): value for name, value in record.items()} for record in records]
        probabilities = self.scorer.probabilities(self.scorer.encode(rows))
        return pd.DataFrame(probabilities, columns=list(OUTPUT_COLUMNS))


def _load_pyfunc(data_path: str) -> PyfuncModel:
    """MLflow calls it with the directory that `Scorer.save()` wrote."""
    return PyfuncModel(Scorer.load(Path(data_path)))
