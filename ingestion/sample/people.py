"""People and studios that exist only as numbers: each is derived from its id on demand, so none is remembered."""

from dataclasses import dataclass
from functools import lru_cache
from random import Random

from ingestion.sample import vocabulary

FIRST_ID = 900_000_001  # person and company ids, as film ids, start where TMDB's do not reach
FIRST_COHORT = 1850  # year in which the careers of a cohort begin
LONGEST_CAREER = 45
STRIDE = 1_000_000  # more people than any cohort has, even in a sample of a million films
FEMALE, MALE, NON_BINARY, NOT_SET = 1, 2, 3, 0
_MASK = (1 << 64) - 1


def mix(value: int) -> int:
    """A well-spread 64-bit number for a number (the finalizer of splitmix64): the same on every machine."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def _bell(bits: int) -> float:
    """Nearly a standard normal number from 64 random bits: the sum of four uniform ones, scaled."""
    total = sum((bits >> shift) & 0xFFFF for shift in (0, 16, 32, 48)) / 65536
    return (total - 2.0) * 1.732


@dataclass(frozen=True)
class Person:
    """Somebody with a career.

    Attributes:
        is_woman: the truth, which the story follows.
        gender: what TMDB would say: 0 where nobody has filled it in.
        leaning: how much the stories this person works on are about women; mean 0, deviation 1.
    """

    person_id: int
    name: str
    is_woman: bool
    gender: int
    leaning: float


@dataclass(frozen=True)
class Studio:
    """A production company; `leaning` as a person's."""

    studio_id: int
    name: str
    leaning: float


@dataclass(frozen=True)
class World:
    """Who there is to choose from in a sample of `films` films made with `seed`."""

    films: int
    seed: int

    def choose_person(self, rng: Random, year: int, *, woman: bool, crew: bool, fame: float) -> Person:
        """Pick somebody who works in a year.

        Args:
            fame: 1 chooses evenly; above it the famous few are chosen more often.
        """
        cohort = max(year - int(LONGEST_CAREER * rng.random() ** 1.8), FIRST_COHORT)
        pool = self._cohort_size(cohort, crew=crew)
        rank = int(pool * rng.random() ** fame)
        number = (((cohort - FIRST_COHORT) * 2 + woman) * 2 + crew) * STRIDE + rank
        return derive_person(self.seed, number, rank / pool)

    def _cohort_size(self, cohort: int, *, crew: bool) -> int:
        share = min(max((cohort - 1900) / 120, 0.02), 1.0) ** 2 / 30  # films per year grow, and so do those who begin
        return min(max(int(self.films * share * (3.0 if crew else 4.0)), 6), STRIDE)

    def choose_studio(self, rng: Random) -> Studio:
        """Pick a studio; a dozen large ones make a third of the films."""
        if rng.random() < 0.3:
            return derive_studio(self.seed, int(12 * rng.random()))
        return derive_studio(self.seed, 12 + int(self.films * rng.random() ** 2))


@lru_cache(maxsize=100_000)
def derive_person(seed: int, number: int, obscurity: float) -> Person:
    """The person behind a number; the fewer know somebody, the more often TMDB has no gender for them."""
    bits = mix(mix(seed) ^ number)
    woman, crew = bool((number // STRIDE) // 2 % 2), bool((number // STRIDE) % 2)
    first_names = vocabulary.WOMEN if woman else vocabulary.MEN
    first = first_names[bits % len(first_names)]
    start = vocabulary.SURNAME_STARTS[(bits >> 16) % len(vocabulary.SURNAME_STARTS)]
    end = vocabulary.SURNAME_ENDS[(bits >> 32) % len(vocabulary.SURNAME_ENDS)]
    unknown = min(0.15 + 0.95 * obscurity, 0.97) if crew else 0.02 + 0.75 * obscurity
    gender = FEMALE if woman else MALE
    if ((bits >> 40) & 0xFFFF) / 65536 < unknown:
        gender = NOT_SET
    elif (bits >> 8) & 0x3FF == 0:
        gender = NON_BINARY
    return Person(FIRST_ID + number, f"{first} {start}{end}", woman, gender, _bell(mix(bits)))


@lru_cache(maxsize=20_000)
def derive_studio(seed: int, number: int) -> Studio:
    """The studio behind a number."""
    bits = mix(mix(seed + 1) ^ number)
    start = vocabulary.STUDIO_STARTS[bits % len(vocabulary.STUDIO_STARTS)]
    end = vocabulary.STUDIO_ENDS[(bits >> 16) % len(vocabulary.STUDIO_ENDS)]
    middle = "" if number < 12 else f" {vocabulary.PLACES[(bits >> 32) % len(vocabulary.PLACES)]}"
    return Studio(FIRST_ID + number, f"{start}{middle} {end}", _bell(mix(bits)))
