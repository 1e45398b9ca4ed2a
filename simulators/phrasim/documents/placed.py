"""What is wrong with a YAML document, problem by problem, each placed on its line."""

import math
from collections.abc import Mapping
from typing import Any

from phrasim.documents.yaml_text import DocumentError, Location


class Problems:
    """The problems found in the value of one YAML text; `lines` is what `load_with_lines` gave with it.

    `whole` is what messages call the document as a whole.
    """

    def __init__(self, file: str, lines: Mapping[Location, int], whole: str) -> None:
        self._file = file
        self._lines = lines
        self._whole = whole
        self.problems: list[DocumentError] = []

    def add(self, location: Location, problem: str) -> None:
        """A problem at `location`, or at the nearest place above it that has a line."""
        while location not in self._lines:
            location = location[:-1]
        self.problems.append(DocumentError(self._file, self._lines[location], problem))

    def hold_to_json(self, value: Any, location: Location = ()) -> None:
        """What YAML can say and JSON cannot: keys that are no text, numbers that are none."""
        if isinstance(value, dict):
            for key, inner in value.items():
                if isinstance(key, str):
                    self.hold_to_json(inner, (*location, key))
                else:
                    self.add((*location, key), f"the key {key!r} is no text; write it in quotes")
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                self.hold_to_json(inner, (*location, index))
        elif isinstance(value, float) and not math.isfinite(value):
            self.add(location, f"{self.place(location)}: {value} is no number that JSON can hold")

    def place(self, location: Location) -> str:
        """How a message names a location."""
        return ".".join(map(str, location)) or self._whole

    def by_line(self) -> list[DocumentError]:
        """The problems in the order of their lines."""
        return sorted(self.problems, key=lambda problem: problem.line)
