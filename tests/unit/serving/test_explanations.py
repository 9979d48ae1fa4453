"""Reasons are sentences with numbers, and gaps are named."""

import math
from decimal import Decimal

import numpy as np
import pytest

from common.feature_encoding import FeatureInfo
from common.sentences import describe, plain_value
from serving.explanations import explain, find_missing

WOMEN = FeatureInfo(
    "women", sentence="{women} of the {known} known actors are women", sentence_null="The cast is not known"
)
SHARE = FeatureInfo("share", sentence="Women are {share:.0%} of the cast", sentence_null="The cast is not known")
BARE = FeatureInfo("bare", description="Length of the title in letters. More text.")
COMEDY = FeatureInfo("comedy", sentence="{comedy:It is a comedy|It is no comedy}")
NAMED = FeatureInfo("named", sentence="{named:No woman has|One woman has|# women have} a name")


@pytest.mark.parametrize(
    ("info", "values", "text"),
    [
        (WOMEN, {"women": 2.0, "known": np.int64(5)}, "2 of the 5 known actors are women"),
        (WOMEN, {"women": 2, "known": None}, "The cast is not known"),
        (WOMEN, {"women": float("nan"), "known": 5}, "The cast is not known"),
        (SHARE, {"share": 1.0}, "Women are 100% of the cast"),
        (SHARE, {"share": "half"}, "share: half"),
        (BARE, {"bare": 7}, "Length of the title in letters: 7"),
        (BARE, {"bare": None}, "Not known: Length of the title in letters"),
        (COMEDY, {"comedy": True}, "It is a comedy"),
        (COMEDY, {"comedy": False}, "It is no comedy"),
        (NAMED, {"named": 0.0}, "No woman has a name"),
        (NAMED, {"named": 1}, "One woman has a name"),
        (NAMED, {"named": np.int64(1200)}, "1,200 women have a name"),
        (NAMED, {"named": "many"}, "named: many"),
    ],
)
def test_sentence_is_filled_with_the_films_values(info: FeatureInfo, values: dict[str, object], text: str) -> None:
    assert describe(info, values) == text


@pytest.mark.parametrize(
    ("form", "value", "words"),
    [
        ("dollars", math.log(4_444_444), "4.4 million dollars"),
        ("dollars", math.log(996e6), "1 billion dollars"),
        ("dollars", math.log(60_000), "60,000 dollars"),
        ("ordinal", 1, "1st"),
        ("ordinal", 12, "12th"),
        ("ordinal", 22, "22nd"),
        ("ordinal", 113, "113th"),
        ("language", "ja", "Japanese"),
        ("language", "xx", '"xx"'),
        ("month", 3, "March"),
        ("points", -0.124, "12 points less"),
        ("points", 0.05, "5 points more"),
    ],
)
def test_value_is_said_in_words(form: str, value: object, words: str) -> None:
    assert describe(FeatureInfo("it", sentence=f"{{it:{form}}}"), {"it": value}) == words


def test_sentence_may_say_a_value_twice_and_a_yes_is_no_one() -> None:
    info = FeatureInfo("women", sentence="{women} of {known}: {women:none|one|# of them}")

    assert describe(info, {"women": 1, "known": 2}) == "1 of 2: one"
    assert describe(info, {"women": True, "known": 2}) == "yes of 2: none"


def test_template_cannot_reach_into_values() -> None:
    info = FeatureInfo("women", sentence="{women.__class__}")

    assert "class" not in describe(info, {"women": 2})


def test_strongest_reason_comes_first_and_weak_ones_stay_out() -> None:
    features = {info.name: info for info in (WOMEN, SHARE, BARE)}
    values = {"women": 2, "known": 5, "share": 0.4, "bare": 7}

    reasons = explain(features, values, [0.2, -0.5, 0.001, 1.7])

    assert [(reason.feature, reason.contribution) for reason in reasons] == [("share", -0.5), ("women", 0.2)]
    assert reasons[1].value == 2


def test_same_sentence_is_told_once() -> None:
    reasons = explain({"women": WOMEN, "share": SHARE}, {}, [0.2, -0.5])

    assert [reason.feature for reason in reasons] == ["share"]


def test_gaps_are_named_once_with_the_count_of_unknown_genders() -> None:
    values = {"cast_members_count": 31, "cast_known_gender_count": 19, "women": None, "share": None, "comedy": None}

    budget = FeatureInfo("production_budget_log", sentence_null="Its budget is not known")
    features = {"women": WOMEN, "share": SHARE, "comedy": COMEDY, budget.name: budget}

    missing = find_missing(features, values)

    assert missing == ["gender of 12 of 31 cast members", "budget"]


def test_crew_of_partly_unknown_gender_is_counted() -> None:
    values = {"crew_members_count": 16, "crew_unknown_gender_share": 0.5625}

    assert find_missing({}, values) == ["gender of 9 of 16 crew members"]


def test_feature_that_has_no_value_for_the_film_is_not_missing() -> None:
    balance = FeatureInfo(
        "text_title_gender_balance", sentence_null="No word about women or men in the title is known"
    )

    assert find_missing({balance.name: balance}, {balance.name: None}) == []


def test_value_is_plain_json() -> None:
    values = (np.float64("nan"), np.int64(2), 2.0, 0.5, None, True, "x", ["a", "b"])
    others = (np.bool_(True), np.str_("x"), np.longdouble(2), Decimal("0.5"), 2**60 + 1, float("inf"))

    assert [plain_value(value) for value in values] == [None, 2, 2, 0.5, None, True, "x", "a, b"]
    assert [plain_value(value) for value in others] == [True, "x", 2, 0.5, 2**60 + 1, float("inf")]
    assert type(plain_value(np.bool_(True))) is bool
