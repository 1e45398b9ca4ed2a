"""Reads a scenario: YAML, held to `scenario.schema.json`; errors say the file, the line and what would be right."""

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phrasim.documents import DocumentError, Location, load_with_lines, scenarios_folder
from phrasim.documents.violations import reworded
from phrasim.documents.yaml_text import read_text
from phrasim.edge.faults import Answer, CutBody, Delay, DropReply, Duplicate, Effect, Fault, Refuse
from phrasim.scenario.expression import ExpressionError, check_condition, check_expression, expressions_in
from phrasim.scenario.model import Call, Expect, Given, GivenFile, Scenario, Step, TokenBearer, Wait, WaitFor
from phrasim.scenario.quantity import seconds, size_bytes

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, ValidationError

EFFECTS = ("refuse", "duplicate", "delay", "answer", "dropReply", "cutBody")
_KINDS = ("operationId", "waitFor", "wait")
_ALL_WIRES = ("in-process", "loopback")


class ScenarioError(ValueError):
    """A scenario that cannot be run; `problems` are all that is wrong with it, each with file and line."""

    def __init__(self, problems: list[DocumentError]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def load_scenario(path: Path) -> Scenario:
    """The scenario in a file. Raises `ScenarioError`, or OSError where the file cannot be read."""
    try:
        text = read_text(path)
    except DocumentError as error:
        raise ScenarioError([error]) from error
    return parse_scenario(text, str(path))


def parse_scenario(text: str, file: str) -> Scenario:
    """The scenario in a text; `file` is its name in messages. Raises `ScenarioError`."""
    try:
        value, lines = load_with_lines(text, file)
    except DocumentError as error:
        raise ScenarioError([error]) from error
    reader = _Problems(file, lines)
    reader.hold_to_schema(value)
    reader.hold_to_sense(value)
    if reader.problems:
        raise ScenarioError(sorted(reader.problems, key=lambda problem: problem.line))
    return _scenario(value, text, file)


class _Problems:
    """What is wrong with a scenario's value, placed on its lines."""

    def __init__(self, file: str, lines: Mapping[Location, int]) -> None:
        self._file = file
        self._lines = lines
        self.problems: list[DocumentError] = []

    def add(self, location: Location, problem: str) -> None:
        while location not in self._lines:
            location = location[:-1]
        self.problems.append(DocumentError(self._file, self._lines[location], problem))

    def hold_to_schema(self, value: Any) -> None:
        for error in _validator().iter_errors(value):
            location = tuple(error.instance_path)
            if error.kind.name == "additionalProperties":
                known = _known_keys(error)
                for key in error.kind.as_dict()["unexpected"]:
                    self.add((*location, key), f"the key {key!r} is not known here; {_nearest(key, known)}")
            else:
                for violation in reworded(error, (), frozenset()):
                    place = violation.pointer[1:].replace("/", ".") or "the scenario"
                    self.add(location, f"{place}: {violation.message}")

    def hold_to_sense(self, value: Any) -> None:
        """What a JSON Schema says badly: one kind for each step, one effect for each fault, names that exist."""
        if self.problems:
            return
        for index, fault in enumerate(value.get("faults", ())):
            effects = [key for key in EFFECTS if key in fault]
            if len(effects) != 1:
                found = f"has {' and '.join(effects)}" if effects else "has no effect"
                self.add(("faults", index), f"a fault has one effect ({', '.join(EFFECTS)}); this one {found}")
        for name, file in value.get("given", {}).get("files", {}).items():
            if ("path" in file) == ("size" in file):
                self.add(("given", "files", name), "a file has a path, or a size if it is to be made")
        step_ids: list[str] = []
        for index, step in enumerate(value["steps"]):
            self._step(index, step, step_ids)
            step_ids.append(step["stepId"])
        if "sequence" in value["expect"] and "document" not in value:
            self.add(("expect", "sequence"), "a sequence can be expected only of a scenario that names its document")

    def _step(self, index: int, step: Mapping[str, Any], earlier: list[str]) -> None:
        at = ("steps", index)
        kinds = [kind for kind in _KINDS if kind in step]
        if len(kinds) != 1:
            found = f"has {' and '.join(kinds)}" if kinds else "has none of them"
            self.add(at, f"a step has one of {', '.join(_KINDS)}; this one {found}")
            return
        if step["stepId"] in earlier:
            self.add((*at, "stepId"), f"there is a step {step['stepId']!r} already; a stepId names one step")
        allowed = {
            "operationId": ("forEach", "as", "parameters", "file", "body", "outputs", "successCriteria"),
            "waitFor": ("outputs",),
            "wait": (),
        }[kinds[0]]
        for key in step:
            if key not in ("stepId", "description", kinds[0], *allowed):
                self.add((*at, key), f"{key!r} has no meaning in a step with {kinds[0]!r}")
        if ("file" in step) != ("forEach" in step):
            self.add(at, "a step that sends a file says both: forEach: $given.files, and file: $each")
        self._expressions(at, step, earlier)

    def _expressions(self, at: Location, step: Mapping[str, Any], earlier: list[str]) -> None:
        own = [step["stepId"]] if "outputs" in step else []
        for key in ("as", "parameters", "body", "outputs", "successCriteria"):
            found = expressions_in(step.get(key)) if key != "successCriteria" else ()
            for expression in found:
                self._try((*at, key), check_expression, expression, earlier)
        for criterion in step.get("successCriteria", ()):
            self._try((*at, "successCriteria"), check_condition, criterion["condition"], [*earlier, *own])

    def _try(self, at: Location, check: Any, written: str, steps: list[str]) -> None:
        try:
            check(written, steps)
        except ExpressionError as error:
            self.add(at, str(error))


@cache
def _validator() -> "Draft202012Validator":
    from jsonschema_rs import Draft202012Validator  # costs 10 ms, and only who reads a scenario needs it

    return Draft202012Validator(_schema(), validate_formats=True)


@cache
def _schema() -> Any:
    import msgspec

    return msgspec.json.decode((scenarios_folder() / "scenario.schema.json").read_bytes())


def _known_keys(error: "ValidationError") -> list[str]:
    """The keys that stand beside the `additionalProperties` that an error broke."""
    schema: Any = _schema()
    for key in error.schema_path[:-1]:
        schema = schema[key]
    return list(schema["properties"])


def _nearest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"


def _scenario(value: Mapping[str, Any], text: str, file: str) -> Scenario:
    return Scenario(
        name=value["scenario"],
        summary=value["summary"],
        file=file,
        text=text,
        document=value.get("document"),
        profile=value.get("profile", "documented"),
        wires=tuple(value.get("wires", _ALL_WIRES)),
        why=value.get("why"),
        mode=value["mode"],
        given=_given(value.get("given", {})),
        faults=tuple(map(_fault, value.get("faults", ()))),
        steps=tuple(map(_one_step, value["steps"])),
        expect=_expect(value["expect"]),
    )


def _given(value: Mapping[str, Any]) -> Given:
    publisher = value.get("publisher", {})
    fields = value.get("notificationFields")
    return Given(
        publisher_email=publisher.get("email"),
        publisher_name=publisher.get("name"),
        files=tuple(
            GivenFile(
                name,
                file.get("path"),
                size_bytes(file["size"]) if "size" in file else 0,
                file.get("mimeType", "application/octet-stream"),
            )
            for name, file in value.get("files", {}).items()
        ),
        token_lifetime=_optional(seconds, value.get("tokenLifetime")),
        poll_interval=_optional(seconds, value.get("pollInterval")),
        upload_size_max=_optional(size_bytes, value.get("uploadSizeMax")),
        notification_fields=None if fields is None else tuple(fields),
    )


def _optional(read: Any, written: str | None) -> Any:
    return None if written is None else read(written)


def _fault(value: Mapping[str, Any]) -> Fault:
    return Fault(value["operationId"], _effect(value), tuple(value.get("occurrences", ())))


def _effect(value: Mapping[str, Any]) -> Effect:
    name = next(key for key in EFFECTS if key in value)
    written = value[name]
    match name:
        case "refuse":
            return Refuse()
        case "duplicate":
            return Duplicate()
        case "delay":
            return Delay(seconds(written))
        case "answer":
            return Answer(written["status"])
        case "dropReply":
            return DropReply()
        case _:
            return CutBody(size_bytes(written["after"]))


def _one_step(value: Mapping[str, Any]) -> Step:
    step_id, outputs = value["stepId"], value.get("outputs", {})
    if "wait" in value:
        return Wait(step_id, seconds(value["wait"]))
    if "waitFor" in value:
        awaited = value["waitFor"]
        return WaitFor(
            step_id, awaited["operationId"], awaited.get("occurrence", 1), seconds(awaited["within"]), outputs
        )
    return Call(
        step_id=step_id,
        operation_id=value["operationId"],
        for_each_file="forEach" in value,
        caller=_caller(value.get("as", "publisher")),
        parameters=value.get("parameters", {}),
        body=value.get("body"),
        has_body="body" in value,
        outputs=outputs,
        conditions=tuple(criterion["condition"] for criterion in value.get("successCriteria", ())),
    )


def _caller(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if "bearer" in value:
        return TokenBearer("Bearer", value["bearer"])
    return TokenBearer("AssetToken", value["assetToken"])


def _expect(value: Mapping[str, Any]) -> Expect:
    sequence = value.get("sequence")
    return Expect(
        sequence=None if sequence is None else {} if sequence == "walked" else _tuples(sequence),
        records=value.get("records"),
        commits=value.get("commits", {}),
        executions=value.get("executions"),
        queues=value.get("queues", {}),
        refusals=_tuples(value.get("refusals", {})),
    )


def _tuples(value: Mapping[str, list[Any]]) -> dict[str, tuple[Any, ...]]:
    return {key: tuple(items) for key, items in value.items()}
