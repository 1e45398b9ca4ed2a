"""How two profiles differ: lines for people, a block for each operation, and JSON for scripts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, json

from phrasim.documents.difference import Added, Changed, Compared, Difference, Place, Removed
from phrasim.documents.schema_parts import Part

if TYPE_CHECKING:
    from phrasim.report.terminal import Line, Style

PLACE_MAX = 56
"""Characters to which places are filled up, so that what is said of those of one operation stands in a column."""
VALUE_MAX = 60
"""Characters of a value that are shown."""
SUMMARY_MAX = 100
"""Characters that are said of a part which only one profile has."""

_STYLES: "Mapping[str, Style]" = {"+": "good", "-": "bad", "~": "plain"}
_PRESENCE = {"required": "optional", "forbidden": "allowed"}
"""The facts that say whether something is there at all, and the word for their contrary."""
_JSON_VALUES = ("const", "default", "enum")
"""The facts whose values are written as JSON, since a text and a number of the same digits must not look alike."""


def difference_lines(profiles: tuple[str, str], services: Mapping[str, Sequence[Compared]]) -> "Iterator[Line]":
    """What differs: for each service how much of it is the same, and a block for each operation that is not.

    Each line of a block begins with `-`, `+` or `~`: only the first profile has it, only the second, or it differs.
    """
    for index, (service, entries) in enumerate(services.items()):
        if index:
            yield "plain", ""
        yield "heading", f"{service}: {' -> '.join(profiles)}"
        yield "aside", f"  the same: {_counted(entries)}"
        for entry in entries:
            if not entry.same:
                yield "plain", ""
                yield from _block(entry)


def difference_json(profiles: tuple[str, str], services: Mapping[str, Sequence[Compared]]) -> str:
    """The same as one JSON object on one line: parts and values in full, and the names of what is the same."""
    told = {
        "before": profiles[0],
        "after": profiles[1],
        "services": {
            service: {
                "same": [entry.name for entry in entries if entry.same],
                "different": [_object(entry) for entry in entries if not entry.same],
            }
            for service, entries in services.items()
        },
    }
    return json.encode(told).decode()


def where(place: Place) -> str:
    """A place in words; the names inside a schema are written together, as a JSON pointer is."""
    words: list[str] = []
    for name in place:
        if name.startswith("/") and words and words[-1].startswith("/"):
            words[-1] += name
        else:
            words.append(name)
    return " ".join(words)


def _counted(entries: Sequence[Compared]) -> str:
    """How many of the operations and of the channels are the same."""
    counts = []
    for kind in dict.fromkeys(entry.kind for entry in entries):
        same = [entry.same for entry in entries if entry.kind == kind]
        counts.append(f"{sum(same)} of {len(same)} {kind}s")
    return ", ".join(counts)


def _block(entry: Compared) -> "Iterator[Line]":
    mark = "+" if entry.before is None else "-" if entry.after is None else "~"
    yield _STYLES[mark], f"{mark} {entry.name}  {entry.after if entry.before is None else entry.before}"
    rows = [_row(difference) for difference in entry.differences]
    width = min(PLACE_MAX, max((len(place) for _, place, _ in rows), default=0))
    for mark, place, said in rows:
        yield _STYLES[mark], f"{mark}   {place:{width}}  {said}".rstrip()


def _row(difference: Difference) -> tuple[str, str, str]:
    """The mark, the place, and what is said of it."""
    place = where(difference.place)
    match difference:
        case Added(part=part):
            return "+", place, _summary(part)
        case Removed(part=part):
            return "-", place, _summary(part)
        case Changed(fact=fact, before=before, after=after):
            change = f"{_value(fact, before)} -> {_value(fact, after)}"
            if not place:
                return "~", fact, change
            return "~", place, change if fact in _PRESENCE else f"{fact}: {change}"


def _summary(part: Part) -> str:
    """The facts of a part, and the names of what it is made of."""
    facts = [
        _value(fact, said) if fact in (*_PRESENCE, "type") else f"{fact} {_value(fact, said)}"
        for fact, said in part.facts.items()
    ]
    names = [name for name in part.parts if not name.startswith("/")]
    fields = [name[1:] for name in part.parts if name.startswith("/")]
    if len(names) == 1:
        names = [f"{names[0]}: {_summary(part.parts[names[0]])}".removesuffix(": ")]
    said = ", ".join([*facts, *names, *([f"with {' '.join(fields)}"] if fields else ())])
    return said if len(said) <= SUMMARY_MAX else f"{said[: SUMMARY_MAX - 1]}…"


def _value(fact: str, said: Any) -> str:
    """A fact as a line shows it; a long one is cut."""
    if fact in _PRESENCE:
        return fact if said is True else _PRESENCE[fact]
    if said is UNSET:
        return "none"
    if fact == "type" and isinstance(said, list):
        text = " or ".join(said)
    elif isinstance(said, str) and fact not in _JSON_VALUES:
        text = said
    else:
        text = json.encode(said).decode()
    return text if len(text) <= VALUE_MAX else f"{text[: VALUE_MAX - 1]}…"


def _object(entry: Compared) -> dict[str, Any]:
    """An operation that differs, as JSON; what a profile has not is null."""
    return {
        "kind": entry.kind,
        "name": entry.name,
        "before": entry.before,
        "after": entry.after,
        "differences": [_difference(difference) for difference in entry.differences],
    }


def _difference(difference: Difference) -> dict[str, Any]:
    """A difference as JSON; a side that does not say the fact has no key."""
    place = list(difference.place)
    match difference:
        case Added(part=part):
            return {"change": "added", "place": place, "part": part.whole()}
        case Removed(part=part):
            return {"change": "removed", "place": place, "part": part.whole()}
        case Changed(fact=fact, before=before, after=after):
            sides = {"before": before, "after": after}
            said = {side: value for side, value in sides.items() if value is not UNSET}
            return {"change": "changed", "place": place, "fact": fact, **said}
