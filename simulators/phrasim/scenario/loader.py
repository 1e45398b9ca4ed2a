"""Reads a scenario: YAML, held to `scenario.schema.json`; errors say the file, the line and what would be right."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phrasim.documents import DocumentError, load_with_lines
from phrasim.documents.quantity import seconds, size_bytes
from phrasim.documents.yaml_text import read_text
from phrasim.edge.fault_reading import fault_of
from phrasim.scenario.deployed_given import deployed_setting
from phrasim.scenario.model import Call, Expect, Given, GivenFile, Scenario, Scheme, Step, TokenBearer, Wait, WaitFor
from phrasim.scenario.problems import ScenarioProblems

_ALL_WIRES = ("in-process", "loopback")
_SCHEMES: Mapping[str, Scheme] = {"bearer": "Bearer", "assetToken": "AssetToken", "oauth": "OAuth", "apiKey": "ApiKey"}


class ScenarioError(ValueError):
    """A scenario that cannot be run; `problems` are all that is wrong with it, each with file and line."""

    def __init__(self, problems: list[DocumentError]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def load_scenario(path: Path) -> Scenario:
    """The scenario in a file, its document at hand. Raises `ScenarioError`, or OSError if the file cannot be read."""
    try:
        text = read_text(path)
    except DocumentError as error:
        raise ScenarioError([error]) from error
    return parse_scenario(text, str(path), path.parent)


def parse_scenario(text: str, file: str, folder: Path | None = None) -> Scenario:
    """The scenario in a text; `file` is its name in messages. Raises `ScenarioError`.

    With the scenario's `folder` it is held to the document that it names: a sequence wants a section that draws one.
    """
    try:
        value, lines = load_with_lines(text, file)
    except DocumentError as error:
        raise ScenarioError([error]) from error
    reader = ScenarioProblems(file, lines)
    reader.hold_to_json(value)
    reader.hold_to_schema(value)
    reader.hold_to_sense(value)
    if folder is not None:
        reader.hold_to_document(value, folder)
    if reader.problems:
        raise ScenarioError(reader.by_line())
    return _scenario(value, text, file)


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
        faults=tuple(map(fault_of, value.get("faults", ()))),
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
        retention=_optional(seconds, value.get("retention")),
        notification_fields=None if fields is None else tuple(fields),
        broker_version=value.get("brokerVersion"),
        deployed=deployed_setting(value),
    )


def _optional(read: Any, written: str | None) -> Any:
    return None if written is None else read(written)


def _one_step(value: Mapping[str, Any]) -> Step:
    step_id, outputs = value["stepId"], value.get("outputs", {})
    if "wait" in value:
        return Wait(step_id, seconds(value["wait"]))
    if "waitFor" in value:
        awaited = value["waitFor"]
        times = awaited.get("occurrence", 1)
        occurrence = None if isinstance(times, str) else times
        return WaitFor(step_id, awaited["operationId"], occurrence, seconds(awaited["within"]), outputs)
    return Call(
        step_id=step_id,
        operation_id=value["operationId"],
        for_each_file="forEach" in value,
        caller=_caller(value.get("as", "publisher")),
        parameters=value.get("parameters", {}),
        query=value.get("query", {}),
        headers=value.get("headers", {}),
        url=value.get("url"),
        form=value.get("form"),
        body=value.get("body"),
        has_body="body" in value,
        content=(value["content"]["type"], value["content"]["text"]) if "content" in value else None,
        outputs=outputs,
        conditions=tuple(criterion["condition"] for criterion in value.get("successCriteria", ())),
    )


def _caller(value: Any) -> Any:
    if isinstance(value, str):
        return value
    ((key, expression),) = value.items()
    return TokenBearer(_SCHEMES[key], expression)


def _expect(value: Mapping[str, Any]) -> Expect:
    sequence = value.get("sequence")
    return Expect(
        sequence=None if sequence is None else {} if sequence == "walked" else _tuples(sequence),
        records=value.get("records"),
        commits=value.get("commits", {}),
        executions=value.get("executions"),
        queues=value.get("queues", {}),
        counts=value.get("counts", {}),
        notes=value.get("notes", {}),
        refusals=_tuples(value.get("refusals", {})),
    )


def _tuples(value: Mapping[str, list[Any]]) -> dict[str, tuple[Any, ...]]:
    return {key: tuple(items) for key, items in value.items()}
