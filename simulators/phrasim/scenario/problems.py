"""What is wrong with a scenario: held to `scenario.schema.json`, to sense and to its document, problem by problem.

Each problem has its line, and says what would be right there.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phrasim.documents import Contract, DocumentError, Location, contract, scenarios_folder
from phrasim.documents.nearest import nearest
from phrasim.documents.placed import Problems
from phrasim.documents.quantity import made_size_problem, seconds
from phrasim.documents.violations import reworded
from phrasim.edge.fault_reading import fault_problem
from phrasim.journal.notes import NOTES
from phrasim.journal.sequence import label_key
from phrasim.scenario.document import drawn_section
from phrasim.scenario.expression import ExpressionError, check_condition, check_expression, expressions_in, given_names

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, ValidationError

_KINDS = ("operationId", "waitFor", "wait")
_OF_PROFILE: Mapping[str, Mapping[str, str]] = {
    "given": {
        **dict.fromkeys(("uploadSizeMax", "notificationFields"), "documented"),
        **dict.fromkeys(("targets", "limits", "grace", "urlLifetime", "embedAssets", "phraseanet"), "deployed"),
    },
    "expect": {"counts": "deployed"},
}
"""The keys that have a meaning in one profile only, by the part of the scenario that they stand in."""
_DAYS_MAX = 100
"""Days that a scenario may wait in all: for so long protocol time is exact (see `phrasim.clock`)."""


class ScenarioProblems(Problems):
    """What is wrong with a scenario's value, placed on its lines."""

    def __init__(self, file: str, lines: Mapping[Location, int]) -> None:
        super().__init__(file, lines, "the scenario")

    def hold_to_schema(self, value: Any) -> None:
        """What breaks the schema; each error says what the schema would take in that place."""
        if self.problems:
            return
        for error in _validator().iter_errors(value):
            self._broken_schema(error)

    def _broken_schema(self, error: "ValidationError") -> None:
        location = tuple(error.instance_path)
        kind = error.kind.as_dict()
        match error.kind.name:
            case "additionalProperties":
                known = list(_broken_part(error)["properties"])
                for key in kind["unexpected"]:
                    self.add((*location, key), f"the key {key!r} is not known here; {nearest(key, known)}")
            case "oneOf" if isinstance(error.instance, dict):
                for inner in kind["context"][-1]:
                    self._broken_schema(inner)
            case "oneOf":
                self.add(location, f"{self.place(location)}: {_neither(error)}")
            case "required" if "dependentRequired" in error.schema_path:
                self.add(("wires",), "'wires' stands here without 'why', which says why they are restricted")
            case "minProperties" | "maxProperties":
                keys = ", ".join(_broken_part(error).get("properties", ()))
                wanted = "an entry is" if not keys else f"one of {keys} is"
                found = "there is none" if not error.instance else "there are more"
                self.add(location, f"{self.place(location)}: {wanted} wanted here; {found}")
            case "pattern" if location == ("summary",):
                sign = next(one for one in str(error.instance) if unicodedata.category(one) in ("Cc", "Zl", "Zp"))
                self.add(location, f"summary: the character {sign!r} is in it; write one line of plain text")
            case _:
                for violation in reworded(error, (), frozenset(), _broken_part(error)):
                    named = violation.pointer[1:].replace("/", ".") or "the scenario"
                    right = f"; {violation.right}" if violation.right else ""
                    self.add(location, f"{named}: {violation.message}{right}")

    def hold_to_sense(self, value: Any) -> None:
        """What a JSON Schema says badly: one kind for each step, one effect for each fault, names that exist."""
        if self.problems:
            return
        documents = contract(value.get("profile", "documented"))
        self._profile(value, documents)
        for index, fault in enumerate(value.get("faults", ())):
            problem = fault_problem(fault, documents)
            if problem is not None:
                self.add(("faults", index, *problem.pointer.split("/")[1:]), problem.message)
        for name, file in value.get("given", {}).get("files", {}).items():
            if ("path" in file) == ("size" in file):
                self.add(("given", "files", name), "a file has a path, or a size if it is to be made")
            elif "size" in file and (problem_of_size := made_size_problem(file["size"])):
                self.add(("given", "files", name, "size"), f"given.files.{name}.size: {problem_of_size}")
        self._times(value, documents)
        earlier: dict[str, list[str]] = {}
        for index, step in enumerate(value["steps"]):
            self._step(index, step, earlier, documents)
            earlier[step["stepId"]] = list(step.get("outputs", ()))
        if "sequence" in value["expect"] and "document" not in value:
            self.add(("expect", "sequence"), "a sequence can be expected only of a scenario that names its document")
        queues = [channel.queue for channel in documents.messages.channels.values()]
        executions = value["expect"].get("executions")
        named = executions if isinstance(executions, Mapping) else {}
        for name in value["expect"].get("notes", ()):
            if name not in NOTES:
                self.add(("expect", "notes", name), f"nobody notes {name!r}; {nearest(name, NOTES)}")
        for name in (*value["expect"].get("queues", ()), *named):
            if name not in queues:
                self.add(
                    ("expect", "executions" if name in named else "queues", name),
                    f"the broker has no queue {name!r}; {nearest(name, queues)}",
                )

    def hold_to_document(self, value: Any, folder: Path) -> None:
        """The section that the scenario names is there, and so are the arrows that its expectation names."""
        if self.problems or "sequence" not in value["expect"]:
            return
        try:
            section = drawn_section(value["document"], folder)
        except (DocumentError, OSError) as error:
            self.add(("document",), f"the document cannot be used: {error}")
            return
        drawn = {label_key(arrow.label): arrow.label.partition(" #")[0] for arrow in section.arrows or ()}
        expected = value["expect"]["sequence"]
        for mark, labels in expected.items() if isinstance(expected, dict) else ():
            for index, label in enumerate(labels):
                if label_key(label) not in drawn:
                    said = f"no arrow of the section is called {label!r}; {nearest(label, drawn.values())}"
                    self.add(("expect", "sequence", mark, index), said)

    def _times(self, value: Mapping[str, Any], documents: Contract) -> None:
        given = value.get("given", {})
        waited = 0.0
        for location, written in _durations(value, documents):
            waited += seconds(written)
            if waited > _DAYS_MAX * 86_400:
                self.add(
                    location, f"{self.place(location)}: with {written} the scenario waits for more than {_DAYS_MAX} d"
                )
                break
        if "tokenLifetime" in given and (seconds(given["tokenLifetime"]) < 1 or seconds(given["tokenLifetime"]) % 1):
            written = given["tokenLifetime"]
            self.add(
                ("given", "tokenLifetime"),
                f"given.tokenLifetime: {written} is not a whole number of seconds, 1 s or more",
            )
        if "pollInterval" in given and seconds(given["pollInterval"]) == 0:
            self.add(
                ("given", "pollInterval"), "given.pollInterval: no time would ever pass between two polls; 1 s does"
            )

    def _step(self, index: int, step: Mapping[str, Any], earlier: Mapping[str, list[str]], documents: Contract) -> None:
        at = ("steps", index)
        kinds = [kind for kind in _KINDS if kind in step]
        if len(kinds) != 1:
            found = f"has {' and '.join(kinds)}" if kinds else "has none of them"
            self.add(at, f"a step has one of {', '.join(_KINDS)}; this one {found}")
            return
        if step["stepId"] in earlier:
            self.add((*at, "stepId"), f"there is a step {step['stepId']!r} already; a stepId names one step")
        allowed = {
            "operationId": (
                *("forEach", "as", "parameters", "query", "headers", "url", "file", "form", "body", "content"),
                *("outputs", "successCriteria"),
            ),
            "waitFor": ("outputs",),
            "wait": (),
        }[kinds[0]]
        for key in step:
            if key not in ("stepId", "description", kinds[0], *allowed):
                self.add((*at, key), f"{key!r} has no meaning in a step with {kinds[0]!r}")
        if ("file" in step) != ("forEach" in step):
            self.add(at, "a step that sends a file says both: forEach: $given.files, and file: $each")
        bodies = [key for key in ("body", "content", "form") if key in step]
        if len(bodies) > 1 or ("file" in step and bodies not in ([], ["form"])):
            self.add(
                at,
                f"a step sends one body; this one has {' and '.join((*(['file'] if 'file' in step else []), *bodies))}",
            )
        if kinds == ["operationId"] and self._operation((*at, "operationId"), step["operationId"], documents):
            self._parameters(at, step, documents)
        if kinds == ["waitFor"]:
            self._operation((*at, "waitFor", "operationId"), step["waitFor"]["operationId"], documents)
        self._expressions(at, step, earlier, documents.name)

    def _profile(self, value: Mapping[str, Any], documents: Contract) -> None:
        """Keys that mean nothing in the scenario's profile."""
        for part, keys in _OF_PROFILE.items():
            for key in value.get(part, ()):
                if keys.get(key, documents.name) != documents.name:
                    self.add((part, key), f"{part}.{key}: this has a meaning in the profile {keys[key]} only")
        for name in value["expect"].get("refusals", ()):
            self._operation(("expect", "refusals", name), name, documents)

    def _operation(self, at: Location, operation_id: str, documents: Contract) -> bool:
        """Whether the scenario's profile has that operation."""
        unknown = documents.unknown_operation(operation_id)
        if unknown is not None:
            self.add(at, unknown)
        return unknown is None

    def _parameters(self, at: Location, step: Mapping[str, Any], documents: Contract) -> None:
        path = documents.operations[step["operationId"]].path
        if "url" in step:
            return
        wanted, found = re.findall(r"\{(\w+)\}", path), list(step.get("parameters", ()))
        if sorted(wanted) != sorted(found):
            self.add(
                (*at, "parameters"),
                f"{step['operationId']} is called at {path}: its parameters are {', '.join(wanted) or 'none'}; "
                f"found {', '.join(found) or 'none'}",
            )

    def _expressions(
        self, at: Location, step: Mapping[str, Any], earlier: Mapping[str, list[str]], profile: str
    ) -> None:
        for key in ("as", "parameters", "query", "headers", "url", "form", "body", "outputs"):
            for expression in expressions_in(step.get(key)):
                try:
                    check_expression(expression, earlier, given_names(profile), answered=key == "outputs")
                except ExpressionError as error:
                    self.add((*at, key), str(error))
        for index, criterion in enumerate(step.get("successCriteria", ())):
            try:
                check_condition(criterion["condition"], earlier, given_names(profile))
            except ExpressionError as error:
                self.add((*at, "successCriteria", index), str(error))


@cache
def _validator() -> "Draft202012Validator":
    from jsonschema_rs import Draft202012Validator  # costs 10 ms, and only who reads a scenario needs it

    return Draft202012Validator(_schema(), validate_formats=True)


@cache
def _schema() -> Any:
    import msgspec

    return msgspec.json.decode((scenarios_folder() / "scenario.schema.json").read_bytes())


def _broken_part(error: "ValidationError") -> Any:
    """The part of the schema that holds the keyword which an error broke."""
    schema: Any = _schema()
    for key in error.schema_path[:-1]:
        schema = schema[key]
    return schema


def _neither(error: "ValidationError") -> str:
    """What would be right where the schema takes one of two things, and found neither."""
    found = "a list" if isinstance(error.instance, list) else repr(error.instance)
    return f"{found} is not right here; write {', or '.join(map(_taken, _broken_part(error)['oneOf']))}"


def _taken(alternative: Mapping[str, Any]) -> str:
    """In words, what a part of the schema takes: certain words, a number, or an object."""
    match alternative:
        case {"enum": words}:
            return ", ".join(map(repr, words))
        case {"const": word}:
            return repr(word)
        case {"type": "integer", "minimum": least}:
            return f"a whole number from {least} on"
        case {"properties": keys}:
            return f"an object with {' or '.join(map(repr, keys))}"
    return "an object"


def _durations(value: Mapping[str, Any], documents: Contract) -> Iterable[tuple[Location, str]]:
    """Every time for which a scenario's value makes somebody wait, and where."""
    if "pollInterval" in value.get("given", {}):
        yield ("given", "pollInterval"), value["given"]["pollInterval"]
    for index, fault in enumerate(value.get("faults", ())):
        if "delay" in fault and fault_problem(fault, documents) is None:
            yield ("faults", index, "delay"), fault["delay"]
    for index, step in enumerate(value["steps"]):
        if "wait" in step:
            yield ("steps", index, "wait"), step["wait"]
        if "waitFor" in step:
            yield ("steps", index, "waitFor", "within"), step["waitFor"]["within"]
