import pytest

from common.scoring import FeatureInfo
from training.metrics import Measured
from training.registry import AUC_MARGIN, judge, signature_of


@pytest.mark.parametrize(
    ("difference", "promoted"), [(0.02, True), (0.0, True), (-AUC_MARGIN, True), (-AUC_MARGIN - 0.001, False)]
)
def test_challenger_takes_over_unless_it_is_worse_by_more_than_the_margin(difference: float, promoted: bool) -> None:
    decision = judge(Measured(difference, difference - 0.01, difference + 0.01), champion="7", films=1407)

    assert decision.promoted is promoted
    assert "against champion 7 on the 1407 newest films" in decision.reason


def test_signature_names_every_feature_with_its_type() -> None:
    signature = signature_of({"a": FeatureInfo("a"), "text_title": FeatureInfo("text_title", kind="text")})

    assert {column.name: column.type.name for column in signature.inputs} == {"a": "double", "text_title": "string"}
    assert signature.outputs.input_names() == ["rating_0", "rating_1", "rating_2", "rating_3"]
