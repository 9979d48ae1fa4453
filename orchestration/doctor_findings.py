"""How a check says what it found."""


class Problem(Exception):  # noqa: N818 - a finding, not an error of ours
    """Something needs to be done.

    Attributes:
        fact: what is there.
        cure: what to do about it.
    """

    def __init__(self, fact: str, cure: str) -> None:
        super().__init__(fact)
        self.fact = fact
        self.cure = cure


class NotApplicableError(Exception):
    """There is nothing to look at here: another check has said why, or the part is not used."""
