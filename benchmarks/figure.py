"""A measured figure beside its bar."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured. The bar is held when `value` is no more than `bar`, both in `unit`; `aside` is for readers."""

    what: str
    value: float
    bar: float
    unit: str
    aside: str

    @property
    def held(self) -> bool:
        return self.value <= self.bar

    def row(self) -> str:
        """A row of the table that `HEADING` begins."""
        verdict = "held" if self.held else "**missed**"
        cells = (self.what, f"{self.value:.2f} {self.unit}", f"≤ {self.bar:g} {self.unit}", verdict, self.aside)
        return f"| {' | '.join(cells)} |"


HEADING = "| what | figure | bar | verdict | aside |\n| --- | --- | --- | --- | --- |"


def spread(values: Sequence[float], unit: str) -> str:
    """The median of `values`, their quartiles and how many they are, as text."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.1f} {unit} (quartiles {low:.1f} to {high:.1f}, n = {len(values)})"
