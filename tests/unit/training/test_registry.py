from common.feature_encoding import FeatureInfo
from training.registry import model_name_of, signature_of


def test_signature_names_every_feature_with_its_type() -> None:
    signature = signature_of({"a": FeatureInfo("a"), "text_title": FeatureInfo("text_title", kind="text")})

    assert {column.name: column.type.name for column in signature.inputs} == {"a": "double", "text_title": "string"}
    assert signature.outputs.input_names() == ["rating_0", "rating_1", "rating_2", "rating_3"]


def test_only_the_default_service_has_the_plain_name() -> None:
    assert model_name_of("movie_bechdel_v1") == "bechdel-test-predictor"
    assert model_name_of("movie_bechdel_anytime_v1") == "bechdel-test-predictor-movie-bechdel-anytime-v1"
