"""Programs of broker operations: the recorded ones of `contracts/broker/`, and what stands in them for something else.

A program is a list of steps that JSON can hold. In it `q0` to `q9` are queues, `x0` to `x9` exchanges, `absent` is
neither, `amq.new` is reserved to the broker; nothing else that a broker could keep is named. Where it is run these
names get a prefix, so that nothing is met that others have. `{user}`, `{password}` and `{vhost}` are the account's.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phrasim.broker.amqp.url import BrokerUrl
from phrasim.documents import broker_programs_folder

Step = dict[str, Any]
Program = list[Step]
Record = dict[str, Any]
"""What a client could see of one step."""

NAME = re.compile(r"(amq\.)?(q\d|x\d|absent|new)")
_RESERVED = "amq."
_KINDS = {"queue": "queue", "exchange": "exchange", "source": "exchange", "destination": "exchange"}
_RAW = frozenset({"alone", "raw"})
"""Steps of which it is not known what a broker makes of them."""

_PLACED = frozenset({"with", "properties", "send"})
"""The keys of a step in which names and placeholders stand."""


@dataclass(frozen=True, slots=True)
class Difference:
    """In which versions of RabbitMQ the rule is another one, such as `3.13.0-3.13.2, 4-`; `row` says where it is told.

    Versions are compared by as many numbers as are written; behind `4-` come all from 4.0 on.
    """

    versions: str
    row: str

    def is_in(self, version: str) -> bool:
        """Whether a RabbitMQ of that version is one of them; one that is no version is not."""
        if not re.match(r"\d+(\.\d+)*", version):
            return False
        numbers = _numbers(version)
        for part in self.versions.split(","):
            low, _, high = part.strip().partition("-")
            first, last = _numbers(low), _numbers(high)
            if numbers[: len(first)] >= first and (not last or numbers[: len(last)] <= last):
                return True
        return False


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.partition("-")[0].partition("+")[0])]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A program, and what RabbitMQ did with each step. `about` says which rule it shows.

    `needs` are keys of `verify.NEEDS`: what a broker must allow that the program can be run. `recorded_from` is the
    broker that was asked.
    """

    name: str
    about: str
    program: Program
    expected: list[Record]
    recorded_from: str
    needs: tuple[str, ...] = ()
    differs: Difference | None = None

    @property
    def rule(self) -> str:
        """The name in words."""
        return self.name.replace("-", " ")


def read_program(path: Path) -> Recorded:
    """Read one file. Each step has what RabbitMQ did beside it, under `expected`."""
    document = json.loads(path.read_text(encoding="utf-8"))
    steps: list[dict[str, Any]] = document["program"]
    differs = document.get("differs")
    return Recorded(
        path.stem,
        document["about"],
        [{key: value for key, value in step.items() if key != "expected"} for step in steps],
        [step.get("expected", {}) for step in steps],
        document.get("recorded_from", ""),
        tuple(document.get("needs", ())),
        None if differs is None else Difference(differs["in"], differs["row"]),
    )


def recorded_programs() -> list[Recorded]:
    """All that this installation holds, by name."""
    return [read_program(path) for path in sorted(broker_programs_folder().glob("*.json"))]


def written(recorded: Recorded) -> str:
    """The text of a program's file: one line for a step, one for what RabbitMQ did with it."""
    head: dict[str, Any] = {"about": recorded.about, "recorded_from": recorded.recorded_from}
    if recorded.needs:
        head["needs"] = list(recorded.needs)
    if recorded.differs is not None:
        head["differs"] = {"in": recorded.differs.versions, "row": recorded.differs.row}
    lines = [f"  {_line(key)}: {_line(value)},\n" for key, value in head.items()]
    steps = [
        f'    {_line(step)[:-1]},\n      "expected": {_line(record)}}}'
        for step, record in zip(recorded.program, recorded.expected, strict=True)
    ]
    return "{\n" + "".join(lines) + '  "program": [\n' + ",\n".join(steps) + "\n  ]\n}\n"


def _line(value: Any) -> str:
    """JSON with the letters of people in it; what stands for a byte that is no UTF-8 (PEP 383) cannot be written so."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def placed(step: Step, prefix: str, url: BrokerUrl) -> Step:
    """The step as it is run at `url`: its names with `prefix` before them, the account's own words in their places."""
    words = {"{user}": url.user, "{password}": url.password, "{vhost}": url.vhost}

    def put(value: Any) -> Any:
        match value:
            case str() if NAME.fullmatch(value):
                return with_prefix(value, prefix)
            case str():
                return re.sub(r"\{(user|password|vhost)\}", lambda found: words[found[0]], value)
            case list():
                return [put(item) for item in value]
            case dict():
                return {key: put(item) for key, item in value.items()}
            case _:
                return value

    return {key: put(value) if key in _PLACED else value for key, value in step.items()}


def with_prefix(name: str, prefix: str) -> str:
    """The name as it is on the broker; `amq.` stays in front, since it is what makes a name reserved."""
    if name.startswith(_RESERVED):
        return f"{_RESERVED}{prefix}{name.removeprefix(_RESERVED)}"
    return f"{prefix}{name}"


def names_in(value: Any) -> Iterator[str]:
    """Every string in a step that names a queue or an exchange, or could."""
    match value:
        case str() if NAME.fullmatch(value):
            yield value
        case list():
            for item in value:
                yield from names_in(item)
        case dict():
            for item in value.values():
                yield from names_in(item)


def made_by(step: Step) -> Iterator[tuple[str, str]]:
    """What may be on the broker because of a step: kinds and names. More is named than most brokers make of it."""
    fields = step.get("with", {})
    for key, kind in _KINDS.items():
        name = fields.get(key, "")
        if NAME.fullmatch(name):
            yield kind, name
    if step["do"] in _RAW:
        for name in names_in(step):
            yield "queue", name
            yield "exchange", name


def one_by_one(program: Program) -> Program:
    """The program with every message published by itself, and the broker at rest before the next."""
    return [
        ({**step, "times": 1} if "times" in step else step) for step in program for _ in range(step.get("times", 1))
    ]
