import numpy as np

from training.text import count_terms, encode_counted, fit_text_encoder

TEXTS = [
    "Two sisters rule",
    "sisters in love",
    "her sisters",
    "a cop hunts",
    "the cop and a thief",
    "cop down",
    "",
    None,
]
PASSES = np.array([True, True, True, False, False, False, True, False])
ROWS = np.arange(len(TEXTS))


def test_rare_terms_are_left_out() -> None:
    assert count_terms(TEXTS).terms == ("cop", "sisters")


def test_words_of_passing_films_raise_the_score() -> None:
    encoder = fit_text_encoder(count_terms(TEXTS), ROWS, PASSES)

    assert encoder is not None
    sisters, cop = encoder.encode(["sisters!", "a cop"])[:, 0]
    assert sisters > 0 > cop


def test_counts_and_texts_give_the_same_encoding_and_unknown_texts_none() -> None:
    counted = count_terms(TEXTS)
    encoder = fit_text_encoder(counted, ROWS, PASSES)

    assert encoder is not None
    np.testing.assert_allclose(encode_counted(encoder, counted, ROWS), encoder.encode(TEXTS), atol=1e-12)
    assert np.isnan(encoder.encode(["", None])).all()


def test_encoder_sees_only_the_rows_it_is_given() -> None:
    """The labels of other rows may be turned around without changing a bit."""
    counted = count_terms(TEXTS * 2)
    rows = np.arange(len(TEXTS))
    one = fit_text_encoder(counted, rows, np.concatenate([PASSES, PASSES]))
    other = fit_text_encoder(counted, rows, np.concatenate([PASSES, ~PASSES]))

    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one.weights, other.weights)


def test_too_few_texts_give_no_encoder() -> None:
    assert fit_text_encoder(count_terms(["one", "two", None]), np.arange(3), np.array([True, False, True])) is None
