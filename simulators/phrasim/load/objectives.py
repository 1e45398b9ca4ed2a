"""Service-level objectives: sentences in a YAML file, held to the figures of a load run."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phrasim.documents.nearest import nearest
from phrasim.documents.quantity import seconds, size_bytes
from phrasim.documents.yaml_text import load_file
from phrasim.load.account import STAGES

EXAMPLE = "p95 of commit → acknowledged ≤ 2 s"
_SENTENCE = re.compile(r"(?P<what>.+?)\s*(?P<sign>≤|<=|≥|>=)\s*(?P<bar>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>%|[A-Za-z]*)")
_TIME = re.compile(r"(?P<statistic>p[0-9]{1,2}(?:\.[0-9]+)?|median|mean|max) of (?P<name>.+)")
_FAILURES = re.compile(r"failures(?: of (?P<name>.+))?")
RATES = ("bytes per second", "hand-offs per second", "requests per second")
_TIME_UNITS, _SIZE_UNITS = ("ms", "s", "min"), ("B", "KiB", "MiB", "GiB")


class ObjectivesError(ValueError):
    """Objectives that cannot be read; the message says which, and what would be right."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a load run measured.

    `times` gives, by the name of a stage or of an operation, a function from `p95`, `median`, `mean` or `max` to
    seconds; `requests` the number of requests and of failures by operation; `rates` what happened per second.
    """

    times: Mapping[str, Callable[[str], float]] = field(default_factory=dict)
    requests: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Objective:
    """A sentence: `statistic` (`p95`, …, `failures`, `rate`) of `name`, which is at most or at least `bar`.

    The bar is in seconds, in bytes, in a number per second, or a share of 1.
    """

    sentence: str
    statistic: str
    name: str
    at_most: bool
    bar: float

    def judge(self, figures: Figures) -> "Judged":
        """Hold it to the figures. What was never measured keeps no objective."""
        found = self._found(figures)
        if found is None:
            return Judged(self, None, "nothing of the kind was measured")
        kept = found <= self.bar if self.at_most else found >= self.bar
        return Judged(self, kept, self._shown(found))

    def _found(self, figures: Figures) -> float | None:
        if self.statistic == "rate":
            return figures.rates.get(self.name)
        if self.statistic == "failures":
            counted = [one for name, one in figures.requests.items() if self.name in ("", name)]
            asked = sum(requests for requests, _ in counted)
            return sum(failures for _, failures in counted) / asked if asked else None
        statistic_of = figures.times.get(self.name)
        return None if statistic_of is None else statistic_of(self.statistic)

    def _shown(self, found: float) -> str:
        if self.statistic == "failures":
            return f"{found * 100:.3g} %"
        if self.statistic == "rate":
            return f"{found / 1024**2:.3g} MiB" if self.name == RATES[0] else f"{found:.3g}"
        return f"{found:.3g} s" if found >= 1 else f"{found * 1000:.3g} ms"


@dataclass(frozen=True, slots=True)
class Judged:
    """An objective with what was found; `kept` is None where nothing was."""

    objective: Objective
    kept: bool | None
    found: str


def read_objectives(path: Path, operations: Sequence[str]) -> list[Objective]:
    """The sentences below the key `objectives`; `operations` are the names that one may be about, beside the stages.

    Raises `ObjectivesError`; `DocumentError` where the file is no YAML, `OSError` where it cannot be read.
    """
    value = load_file(path)
    sentences = value.get("objectives") if isinstance(value, dict) else None
    unknown = sorted(value.keys() - {"objectives"}, key=str) if isinstance(value, dict) else []
    if unknown:
        raise ObjectivesError(f"{path}: {unknown[0]!r} is not known; write objectives: and a list of sentences")
    if not isinstance(sentences, list) or not sentences:
        raise ObjectivesError(f"{path}: there are no objectives; write objectives: and a list, such as - {EXAMPLE}")
    return [_objective(sentence, f"{path}: objective {at}", operations) for at, sentence in enumerate(sentences, 1)]


def _objective(sentence: Any, place: str, operations: Sequence[str]) -> Objective:
    written = sentence.replace("->", "→") if isinstance(sentence, str) else ""
    match = _SENTENCE.fullmatch(written.strip())
    if match is None:
        raise ObjectivesError(f"{place}: {sentence!r} is no objective; write one as {EXAMPLE!r}")
    what, at_most = match["what"], match["sign"] in ("≤", "<=")
    statistic, name = _quantity(what, place, operations)
    bar = _bar(statistic, name, float(match["bar"]), match["bar"], match["unit"], place)
    return Objective(written.strip(), statistic, name, at_most, bar)


def _quantity(what: str, place: str, operations: Sequence[str]) -> tuple[str, str]:
    if what in RATES:
        return "rate", what
    for pattern, names in ((_TIME, (*STAGES, *operations)), (_FAILURES, operations)):
        match = pattern.fullmatch(what)
        if match is not None:
            name = match["name"] or ""
            if name and name not in names:
                raise ObjectivesError(f"{place}: {name!r} is nothing that is measured; {nearest(name, names)}")
            return match.groupdict().get("statistic") or "failures", name
    raise ObjectivesError(
        f"{place}: {what!r} is nothing that is measured; write p95, median, mean or max of a stage or an operation, "
        f"failures, failures of an operation, {', '.join(RATES)}"
    )


def _bar(statistic: str, name: str, bar: float, digits: str, unit: str, place: str) -> float:
    if statistic == "failures":
        if unit != "%":
            raise ObjectivesError(f"{place}: failures are a share; write it in %, such as 0.1 %")
        return bar / 100
    if statistic == "rate" and name != RATES[0]:
        if unit:
            raise ObjectivesError(f"{place}: {name} are a number; write it without a unit")
        return bar
    units = _SIZE_UNITS if statistic == "rate" else _TIME_UNITS
    if unit not in units:
        raise ObjectivesError(f"{place}: the bar has the unit {unit!r}; write one of {', '.join(units)}")
    return bar * size_bytes(f"1 {unit}") if statistic == "rate" else seconds(f"{digits} {unit}")
