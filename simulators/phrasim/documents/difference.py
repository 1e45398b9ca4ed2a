"""How two documents of the same service differ: operation by operation, and in each part by part."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from msgspec import UNSET

from phrasim.documents.schema_parts import Part, encoded
from phrasim.documents.stated import Entry

Name = TypeVar("Name")
Place = tuple[str, ...]
"""Where in an operation something is stated: the names of the parts that lead to it; empty for the whole of it."""


@dataclass(frozen=True, slots=True)
class Added:
    """A part that only the second document has."""

    place: Place
    part: Part


@dataclass(frozen=True, slots=True)
class Removed:
    """A part that only the first document has."""

    place: Place
    part: Part


@dataclass(frozen=True, slots=True)
class Changed:
    """A fact about a part of both; a side is UNSET where its document does not say it."""

    place: Place
    fact: str
    before: Any
    after: Any


Difference = Added | Removed | Changed


@dataclass(frozen=True, slots=True)
class Compared:
    """An operation, webhook or channel of either document: its titles, and in what it differs.

    A title is None where a document has it not; then there are no further differences.
    """

    kind: Literal["operation", "channel"]
    name: str
    before: str | None
    after: str | None
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether both documents have it, and say the same of it."""
        return self.before is not None and self.after is not None and not self.differences


def compared(before: Sequence[Entry], after: Sequence[Entry]) -> list[Compared]:
    """Every entry of two documents, in the order of the first; one that only the second has stands in its place."""
    firsts = {(entry.kind, entry.name): entry for entry in before}
    seconds = {(entry.kind, entry.name): entry for entry in after}
    found = []
    for kind, name in _merged(firsts, seconds):
        first, second = firsts.get((kind, name)), seconds.get((kind, name))
        differences = tuple(differences_of(first.part, second.part)) if first and second else ()
        titles = (first.title if first else None, second.title if second else None)
        found.append(Compared(kind, name, *titles, differences))
    return found


def differences_of(before: Part, after: Part, place: Place = ()) -> Iterator[Difference]:
    """What differs between two parts; of a part that is missing on one side, nothing further is told."""
    for fact in _merged(before.facts, after.facts):
        first, second = before.facts.get(fact, UNSET), after.facts.get(fact, UNSET)
        if first is UNSET or second is UNSET or encoded(first) != encoded(second):
            yield Changed(place, fact, first, second)
    for name in _merged(before.parts, after.parts):
        inside = (*place, name)
        if name not in after.parts:
            yield Removed(inside, before.parts[name])
        elif name not in before.parts:
            yield Added(inside, after.parts[name])
        else:
            yield from differences_of(before.parts[name], after.parts[name], inside)


def _merged(before: Mapping[Name, Any], after: Mapping[Name, Any]) -> list[Name]:
    """The names of both, in the order of `before`; one that only `after` has stands as near as can be to its place."""
    merged = list(before)
    position = 0
    for name in after:
        if name in before:
            position = merged.index(name) + 1
            continue
        while position < len(merged) and merged[position] not in after:
            position += 1
        merged.insert(position, name)
        position += 1
    return merged
