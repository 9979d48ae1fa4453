"""Titles, overviews and taglines of synthetic films."""

import math
import re
from dataclasses import dataclass
from random import Random

from ingestion.sample import vocabulary
from ingestion.sample.people import mix
from ingestion.sample.vocabulary import Country

_HTML_ENTITIES = {"&": "&amp;", "'": "&#39;", "é": "&eacute;"}


@dataclass(frozen=True)
class Title:
    """A title as TMDB has it, in the language of the film, and as the ratings' source writes it."""

    text: str
    original: str
    in_ratings: str


def write_title(rng: Random, films: int, country: Country) -> Title:
    """A title; one film in fifty shares its title with others, as remakes do."""
    shared = Random(mix(int(films / 40 * rng.random() ** 2) + 77))  # noqa: S311 - reproducible, not secret
    text = _compose(shared if rng.random() < 0.02 else rng)
    original = text
    if country.language != "en":
        original = _foreign(rng)
        if rng.random() < 0.03:
            text = original
    in_ratings = text
    if rng.random() < 0.08:
        in_ratings = re.sub("[&'é]", lambda match: _HTML_ENTITIES[match[0]], text)
    return Title(text, original, in_ratings)


def _compose(rng: Random) -> str:
    adjective, noun, other = (
        rng.choice(words) for words in (vocabulary.TITLE_ADJECTIVES, vocabulary.TITLE_NOUNS, vocabulary.TITLE_NOUNS)
    )
    place, name = (
        rng.choice(vocabulary.PLACES),
        rng.choice(vocabulary.WOMEN if rng.random() < 0.5 else vocabulary.MEN),
    )
    return rng.choices(
        (
            f"The {adjective} {noun}", f"{adjective} {noun}", f"{name}'s {noun}", f"The {noun} of {place}",
            f"{noun} & {other}", f"{adjective} {noun} in {place}", f"{name} and the {adjective} {noun}",
            f"The {noun} and the {other}", f"{noun} {rng.randint(2, 4)}", f"Café {place}",
            f"The {adjective} {noun} of {place}", f"{name} in {place}",
        ),
        (9, 7, 9, 12, 6, 18, 12, 10, 1, 0.4, 12, 3.6),
    )[0]  # fmt: skip


def _foreign(rng: Random) -> str:
    words = (
        rng.choice(vocabulary.FOREIGN_STARTS) + rng.choice(vocabulary.FOREIGN_ENDS) for _ in range(rng.randint(1, 3))
    )
    return " ".join(words).capitalize()


def write_overview(rng: Random, focus: float) -> tuple[str, float]:
    """A few sentences, and how much their words are about women: -1 only men, 1 only women.

    Args:
        focus: how far the story is about women, 0 on average.
    """
    chance = 1 / (1 + math.exp(0.25 - 1.1 * focus))
    woman = rng.random() < chance
    if rng.random() < 0.25:
        who = rng.choice(vocabulary.NEUTRAL)
    else:
        who = rng.choice(vocabulary.HEROINES if woman else vocabulary.HEROES)
    opening = rng.choice(vocabulary.OPENINGS).format(
        who=who,
        mood=rng.choice(vocabulary.MOODS),
        place=rng.choice(vocabulary.PLACES),
        name=rng.choice(vocabulary.WOMEN if woman else vocabulary.MEN),
        **vocabulary.PRONOUNS[1 if woman else 2],
    )
    clauses = [opening]
    balance = 1.0 if woman else -1.0
    for _ in range(rng.choices((2, 3, 4, 5, 6), (0.2, 0.3, 0.25, 0.15, 0.1))[0]):
        kind = rng.random()
        if kind < 0.5:
            clauses.append(rng.choice(vocabulary.PLAIN_CLAUSES))
        elif kind < 0.6:
            clauses.append(rng.choice(vocabulary.COUPLE_CLAUSES))
        elif rng.random() < chance:
            clauses.append(rng.choice(vocabulary.WOMEN_CLAUSES))
            balance += 1.0
        else:
            clauses.append(rng.choice(vocabulary.MEN_CLAUSES))
            balance -= 1.0
    return " ".join(dict.fromkeys(clauses)), max(min(balance / 2, 1.0), -1.0)


def write_tagline(rng: Random) -> str:
    """A tagline, or none, as for a quarter of the films."""
    if rng.random() < 0.27:
        return ""
    return rng.choice(vocabulary.TAGLINES).format(place=rng.choice(vocabulary.PLACES))
