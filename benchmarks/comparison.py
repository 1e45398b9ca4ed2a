"""How fast something of phrasim's is beside another, and where that could not be found out."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours beside the other: `ratios` are those of the rounds, more is faster.

    The bar is held when their median is no less than `bar`; None where the figure is told and no more. `aside` is for
    readers.
    """

    what: str
    ratios: tuple[float, ...]
    bar: float | None
    aside: str

    @property
    def value(self) -> float:
        return statistics.median(self.ratios)

    @property
    def held(self) -> bool:
        return self.bar is None or self.value >= self.bar

    def row(self) -> str:
        """A row of the table that `figure.HEADING` begins."""
        bar = "" if self.bar is None else f"≥ {self.bar:g} x"
        verdict = "" if self.bar is None else "held" if self.held else "**missed**"
        low, _, high = statistics.quantiles(self.ratios, n=4)
        spread = f"quartiles {low:.2f} to {high:.2f}, n = {len(self.ratios)}"
        return f"| {self.what} | {self.value:.2f} x | {bar} | {verdict} | {self.aside}; {spread} |"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What could not be measured here, and why. That misses no bar."""

    what: str
    reason: str

    @property
    def held(self) -> bool:
        return True

    def row(self) -> str:
        """A row of the table that `figure.HEADING` begins."""
        return f"| {self.what} | | | left out | {self.reason} |"
