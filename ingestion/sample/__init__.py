"""Synthetic films that look like the real ones: fictional titles and names, learnable ratings."""
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SampleFiles:
    movies: Path
    payloads: Path


def ensure(folder: Path, *, films: int, seed: int) -> SampleFiles:
    raise NotImplementedError
