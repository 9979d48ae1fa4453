"""What a load did, in figures that add up."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class LoadReport:
    """The figures of one load into one table; every row read is loaded, unchanged, updated or rejected.

    Attributes:
        target: the table, e.g. `raw.movies`.
        removed: rows of the table that the source no longer has.
        reasons: rejected rows by reason code.
        notes: sentences for the person who reads the log.
    """

    target: str
    read: int
    loaded: int
    updated: int
    rejected: int
    removed: int
    reasons: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.unchanged < 0:
            raise AssertionError(f"rows of {self.target} do not add up: {self}")

    @property
    def unchanged(self) -> int:
        """Rows that the table held already, as they are: what is left of those that were read."""
        return self.read - self.loaded - self.updated - self.rejected

    def facts(self) -> str:
        """The figures as key=value."""
        return (
            f"target={self.target} read={self.read} loaded={self.loaded} unchanged={self.unchanged} "
            f"updated={self.updated} rejected={self.rejected} removed={self.removed}"
        )
