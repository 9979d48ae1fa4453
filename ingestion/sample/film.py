"""One synthetic film: what it is about decides who is hired, and what can be seen of it decides its rating."""

import math
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from ingestion.sample import vocabulary
from ingestion.sample.people import Person, Studio, World, mix
from ingestion.sample.text import Title, write_overview, write_tagline, write_title
from ingestion.sample.vocabulary import Country, Genre

FIRST_TMDB_ID = 900_000_001
FIRST_IMDB_ID = 90_000_001

# Shares of the real films: first year of the decade -> (weight, empty casts, unknown budgets).
DECADES = {
    1890: (27, 0.96, 1.0), 1900: (21, 0.86, 0.9), 1910: (10, 0.6, 0.9), 1920: (68, 0.46, 0.78),
    1930: (174, 0.58, 0.76), 1940: (211, 0.48, 0.79), 1950: (283, 0.41, 0.71), 1960: (378, 0.38, 0.69),
    1970: (416, 0.36, 0.61), 1980: (643, 0.29, 0.47), 1990: (1039, 0.21, 0.40), 2000: (1984, 0.23, 0.40),
    2010: (1790, 0.36, 0.44), 2020: (120, 0.3, 0.5),
}  # fmt: skip
WOMEN_BY_BILLING = (0.29, 0.43, 0.37, 0.36, 0.33, 0.33, 0.31, 0.31, 0.30, 0.29)
DUBIOUS_BY_RATING = (0.022, 0.031, 0.102, 0.111)
SIGNAL = 0.95  # how far the rating follows what can be seen: a good model reaches an AUC of 0.80 to 0.85
PASS_RATE = 0.34  # log-odds that makes 55 of 100 films pass
BLOCKBUSTER = 5  # position of the film whose revenue does not fit into 32 bits, in every sample


@dataclass(frozen=True)
class CastMember:
    """An actor in a film."""

    person: Person
    character: str


@dataclass(frozen=True)
class CrewMember:
    """Somebody in a job."""

    person: Person
    job: str
    department: str


@dataclass(frozen=True)
class Film:
    """A whole film; the writers decide which parts of it each file shows."""

    index: int
    title: Title
    year: int
    release_date: date
    countries: tuple[Country, ...]
    genres: tuple[Genre, ...]
    studios: tuple[Studio, ...]
    cast: tuple[CastMember, ...]
    crew: tuple[CrewMember, ...]
    overview: str
    tagline: str
    runtime: int | None
    budget: int
    revenue: int
    popularity: float
    vote_average: float
    vote_count: int
    rating: int
    dubious: int
    shows_cast: bool
    shows_crew: bool

    @property
    def tmdb_id(self) -> int:
        return FIRST_TMDB_ID + self.index

    @property
    def imdb_id(self) -> int:
        return FIRST_IMDB_ID + self.index


def make_film(world: World, index: int) -> Film:
    """Film number `index` of a world; it depends on nothing but these two."""
    rng = Random(mix(mix(world.seed) + index))  # noqa: S311 - reproducible, not secret
    decade = rng.choices(list(DECADES), [weight for weight, _, _ in DECADES.values()])[0]
    released = date(decade, 1, 1) + timedelta(days=int(rng.random() * (3652 if decade < 2020 else 900)))
    year = released.year
    genres = _choose_genres(rng)
    countries = _choose_countries(rng)
    studios = tuple(dict.fromkeys(world.choose_studio(rng) for _ in range(_studio_count(rng))))
    makers, focus = _choose_makers(rng, world, year, genres, studios)
    cast, focus = _choose_cast(rng, world, year, focus)
    overview, women_words = write_overview(rng, focus)
    rating, women_seen = _rate(rng, year, genres, makers, cast, studios, women_words)
    _, empty_casts, unknown_budgets = DECADES[decade]
    shows_cast = rng.random() >= empty_casts
    budget = _budget(rng, year, unknown_budgets)
    fame = rng.gauss(0, 1) + (0.5 if budget > 3e7 else 0.0)
    return Film(
        index=index,
        title=write_title(rng, world.films, countries[0]),
        year=year + rng.choices((0, -1, 1), (0.964, 0.027, 0.009))[0],
        release_date=released,
        countries=countries,
        genres=genres,
        studios=studios,
        cast=cast,
        crew=makers + _choose_crew(rng, world, year),
        overview=overview,
        tagline=write_tagline(rng),
        runtime=_runtime(rng, year),
        budget=budget,
        revenue=2_900_000_000 if index == BLOCKBUSTER else _revenue(rng, budget, fame),
        popularity=round(max(math.exp(1.75 + 0.8 * fame), 0.05), 6),
        vote_average=round(min(max(rng.gauss(6.55, 0.8) + 0.1 * fame, 1.5), 9.2), 1),
        vote_count=max(int(math.exp(5.8 + 1.45 * fame)), 2),
        rating=rating,
        dubious=int(rng.random() < DUBIOUS_BY_RATING[rating] * (1.3 if women_seen < 0.5 else 0.8)),
        shows_cast=shows_cast,
        shows_crew=shows_cast and rng.random() > 0.04,
    )


def sigmoid(value: float) -> float:
    """From log-odds to a probability."""
    return 1 / (1 + math.exp(-value))


def _choose_genres(rng: Random) -> tuple[Genre, ...]:
    count = rng.choices((0, 1, 2, 3, 4, 5, 6), (0.002, 0.187, 0.341, 0.319, 0.115, 0.030, 0.006))[0]
    chosen = rng.choices(vocabulary.GENRES, [genre.weight for genre in vocabulary.GENRES], k=count)
    return tuple(dict.fromkeys(chosen))


def _choose_countries(rng: Random) -> tuple[Country, ...]:
    """The country of the film first, then those of its co-producers."""
    count = rng.choices((1, 2, 3, 4, 5), (0.75, 0.165, 0.055, 0.022, 0.008))[0]
    chosen = rng.choices(vocabulary.COUNTRIES, [country.weight for country in vocabulary.COUNTRIES], k=count)
    return tuple(dict.fromkeys(chosen))


def _studio_count(rng: Random) -> int:
    return rng.choices(range(12), (3.2, 26.8, 25.2, 18.0, 11.0, 5.8, 3.9, 2.3, 1.5, 0.9, 0.5, 0.9))[0]


def _choose_makers(
    rng: Random, world: World, year: int, genres: tuple[Genre, ...], studios: tuple[Studio, ...]
) -> tuple[tuple[CrewMember, ...], float]:
    """Directors and writers, and how far the story is about women (0 on average, deviation about 1)."""
    focus = rng.gauss(0, 0.6) + sum(genre.pull for genre in genres) * 0.6 + 0.004 * (year - 1990)
    focus += 0.3 * sum(studio.leaning for studio in studios[:2])
    progress = min(max((year - 1960) / 60, 0), 1)
    directors = rng.choices((1, 2, 3, 4), (0.942, 0.048, 0.007, 0.003))[0]
    makers = []
    for _ in range(directors):
        woman = rng.random() < 0.015 + 0.06 * progress + 0.02 * max(focus, 0)
        person = world.choose_person(rng, year, woman=woman, crew=True, fame=8.0)
        makers.append(CrewMember(person, "Director", "Directing"))
        focus += (0.9 * woman + 0.45 * person.leaning) / directors
        if rng.random() < 0.35:
            makers.append(CrewMember(person, "Screenplay", "Writing"))
    for _ in range(rng.choices((0, 1, 2, 3), (0.12, 0.48, 0.28, 0.12))[0]):
        woman = rng.random() < 0.03 + 0.08 * progress + 0.04 * max(focus, 0)
        person = world.choose_person(rng, year, woman=woman, crew=True, fame=3.5)
        share = rng.random()
        job = next(name for name, limit in vocabulary.WRITING_JOBS if share <= limit)
        makers.append(CrewMember(person, job, "Writing"))
        focus += 0.35 * woman + 0.2 * person.leaning
    return tuple(makers), focus


def _choose_cast(rng: Random, world: World, year: int, focus: float) -> tuple[tuple[CastMember, ...], float]:
    size = rng.randint(4, 10) if rng.random() < 0.22 else min(max(int(math.exp(rng.gauss(2.85, 0.62))), 4), 150)
    cast = []
    for order in range(size):
        base = WOMEN_BY_BILLING[min(order, len(WOMEN_BY_BILLING) - 1)]
        pull = 0.75 * focus if order < 10 else 0.3 * focus
        woman = rng.random() < sigmoid(math.log(base / (1 - base)) + pull - 0.12)
        person = world.choose_person(rng, year, woman=woman, crew=False, fame=_fame(order))
        if order == 0:
            focus += 0.25 * person.leaning
        cast.append(CastMember(person, _character(rng, world, woman=woman, order=order)))
    return tuple(cast), focus


def _fame(order: int) -> float:
    """How much the known few are preferred for a place in the billing."""
    return 8.0 if order == 0 else 5.0 if order < 3 else max(2.4 - order / 15, 0.7)


def _character(rng: Random, world: World, *, woman: bool, order: int) -> str:
    bits = mix(world.seed ^ int(rng.random() * 2**40))
    if order > 8 and bits % 3 == 0:
        return vocabulary.CHARACTER_JOBS[bits % len(vocabulary.CHARACTER_JOBS)]
    first_names = vocabulary.WOMEN if woman else vocabulary.MEN
    name = first_names[bits % len(first_names)]
    if (bits >> 12) % 40 == 0:
        return f'{name} "The {vocabulary.TITLE_NOUNS[(bits >> 20) % len(vocabulary.TITLE_NOUNS)]}"'
    if (bits >> 12) % 40 == 1:
        return f"{name}'s {'Sister' if woman else 'Brother'}"
    return name


def _choose_crew(rng: Random, world: World, year: int) -> tuple[CrewMember, ...]:
    key_jobs = [job for job in vocabulary.KEY_JOBS if rng.random() < job.presence]
    extras = int(math.exp(rng.gauss(2.2, 1.25))) - 2 if rng.random() < 0.65 else 0
    other_jobs = rng.choices(vocabulary.OTHER_JOBS, k=min(max(extras, 0), 250))
    crew = []
    for jobs, fame in ((key_jobs, 1.6), (other_jobs, 0.9)):
        for job in jobs:
            person = world.choose_person(rng, year, woman=rng.random() < job.women, crew=True, fame=fame)
            crew.append(CrewMember(person, job.name, job.department))
    return tuple(crew)


def _rate(
    rng: Random,
    year: int,
    genres: tuple[Genre, ...],
    makers: tuple[CrewMember, ...],
    cast: tuple[CastMember, ...],
    studios: tuple[Studio, ...],
    women_words: float,
) -> tuple[int, float]:
    """The rating from what can be seen, plus what cannot; with it, the share of women among the first ten."""
    women = [member.person.is_woman for member in cast]
    share = sum(women[:10]) / len(women[:10])
    directed = any(maker.person.is_woman for maker in makers if maker.job == "Director")
    written = any(maker.person.is_woman for maker in makers if maker.department == "Writing")
    leaning = sum(maker.person.leaning for maker in makers) / len(makers)
    few = sum(women) < 2
    score = 2.6 * (sum(women[:5]) / len(women[:5]) - 0.33) + 2.0 * (share - 0.31) + 0.4 * women[0] - 1.2 * few
    score += 0.8 * directed + 0.6 * written + 0.45 * leaning + 0.25 * sum(studio.leaning for studio in studios[:2])
    score += 0.6 * sum(genre.pull for genre in genres) + 1.2 * women_words
    score += 0.012 * (min(year, 2010) - 1985) - (3.0 if year < 1925 else 0.0)
    if rng.random() < sigmoid(SIGNAL * score + PASS_RATE):
        return 3, share
    return _failing_rating(rng, genres, year, few=few), share


def _failing_rating(rng: Random, genres: tuple[Genre, ...], year: int, *, few: bool) -> int:
    """Fewer than two women (0), women who do not talk with each other (1), or only about a man (2)."""
    if rng.random() < (0.9 if year < 1920 else 0.6 if few else 0.16):
        return 0
    romance = any(genre.name == "Romance" for genre in genres)
    return 2 if rng.random() < (0.5 if romance else 0.28) else 1


def _runtime(rng: Random, year: int) -> int | None:
    if rng.random() < 0.006:
        return rng.choice((None, 0))
    if year < 1915:
        return rng.randint(3, 25)
    return max(int(rng.gauss(97 if year < 1960 else 105, 17)), 40)


def _budget(rng: Random, year: int, unknown: float) -> int:
    if rng.random() < unknown:
        return 0
    typical = 16.75 + 0.02 * (min(year, 2010) - 1995)
    dollars = min(math.exp(rng.gauss(typical, 1.5)), 3.8e8)
    step = 1_000_000 if dollars > 5_000_000 else 50_000
    return max(int(dollars / step), 1) * step if rng.random() < 0.9 else max(int(dollars), 1000)


def _revenue(rng: Random, budget: int, fame: float) -> int:
    if budget == 0:
        return int(math.exp(rng.gauss(15, 1.8))) if rng.random() < 0.12 else 0
    return int(min(budget * math.exp(0.5 + 0.8 * fame + rng.gauss(0, 0.7)), 3.1e9)) if rng.random() < 0.88 else 0
