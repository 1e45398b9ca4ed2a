"""Runs in one process, for the tests of their pages."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl, urlsplit

import msgspec

from phrasim.broker.client import Depth
from phrasim.documents import scenarios_folder, secret_fields
from phrasim.journal.events import Event, Noted, Request
from phrasim.scenario import runner
from phrasim.scenario.events import Outcome, Verdict
from phrasim.scenario.loader import load_scenario, parse_scenario
from phrasim.scenario.runner import Play, play_in_process

SHIPPED = sorted(scenarios_folder().rglob("*.yaml"))
"""The scenarios that phrasim comes with, of all profiles."""

MUCH_GOES_WRONG = (
    "{operationId: downloadAsset, occurrences: [1], answer: {status: 500}}",
    "{operationId: downloadAsset, occurrences: [2], cutBody: {after: 10 B}}",
    "{operationId: getPublisherInfo, occurrences: [1], dropReply: true}",
    "{operationId: getAsset, occurrences: [1], delay: 3 s}",
    "{operationId: enqueueAssets, occurrences: [1], duplicate: true}",
)
"""Faults by which a push has messages that are lost, late, refused and sent again, and ends in the failed queue."""

SECRET_LENGTH_MIN = 8
"""A secret that is shorter may stand in a page by chance, or as the word that says that there is none."""

SCHEMES = frozenset({"Bearer", "AssetToken", "OAuth", "ApiKey"})
"""What may stand in an `authorization` without a token, and is no secret."""


@dataclass(frozen=True, slots=True)
class Played:
    """A run, how many messages the broker itself had at its end, by queue, and the run's secrets."""

    outcome: Outcome
    depths: Mapping[str, Depth]
    secrets: frozenset[str]


def name_of(path: Path) -> str:
    """The name of a shipped scenario, with its profile."""
    return f"{path.parent.name}/{path.stem}"


def shipped(path: Path) -> Outcome:
    """A shipped scenario, played."""
    return watched(path).outcome


@cache
def watched(path: Path, *, show_tokens: bool = False) -> Played:
    """The same, with what only the testbed knows."""
    depths: dict[str, Depth] = {}
    secrets: set[str] = set()

    def watching(scenario: Any, testbed: Any, files: Any, found: Mapping[str, Depth]) -> Iterable[Verdict]:
        depths.update(found)
        accounts = testbed.accounts
        secrets.update((accounts.publisher.password, accounts.administrator.password))
        secrets.update((accounts.phraseanet.secret, accounts.front_end.secret))
        return judge(scenario, testbed, files, found)

    judge = runner.judge
    with patch.object(runner, "judge", watching):
        outcome = play_in_process(load_scenario(path), Play(show_tokens=show_tokens))
    secrets.update(one for event in outcome.events for one in secrets_of(event))
    return Played(outcome, depths, frozenset(one for one in secrets if len(one) >= SECRET_LENGTH_MIN))


def secrets_of(event: Event) -> Iterator[str]:
    """What stands in an event of a run, which holds everything in clear, under the name of a secret."""
    if isinstance(event, Noted) or isinstance(event.message, str):
        return
    message = event.message
    for name, value in getattr(message, "headers", ()):
        if name == "authorization":
            yield from {value.partition(" ")[2] or value} - SCHEMES
    pairs: list[tuple[str, Any]] = []
    if message.body.json is not msgspec.UNSET:
        pairs += _pairs(message.body.json)
    if isinstance(message.body.text, str):
        pairs += parse_qsl(message.body.text)
    if isinstance(message, Request):
        pairs += parse_qsl(urlsplit(message.target).query)
    for name, value in pairs:
        if isinstance(value, str) and name in secret_fields():
            yield value
        elif isinstance(value, str) and f"{name}?" in secret_fields():
            yield urlsplit(value).query


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """The fields of a JSON value, at any depth."""
    if isinstance(value, dict):
        yield from value.items()
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _pairs(inner)


def push_text(*faults: str, title: str = "Test document", expect: str = "") -> str:
    """The scenario of a push with faults; `expect` has lines beside that it walks its sequence."""
    text = (scenarios_folder() / "push.yaml").read_text(encoding="utf-8")
    head, _, rest = text.replace("title: Test document", f"title: {title}").partition("steps:")
    steps, _, _ = rest.partition("expect:")
    told = "".join(f"  - {fault}\n" for fault in faults)
    given = f"faults:\n{told}steps:" if faults else "steps:"
    return f"{head}{given}{steps}expect:\n  sequence: walked\n{expect}".replace("within: 30 s", "within: 2 min")


def push(*faults: str, **changes: str) -> Outcome:
    """A push with those faults, played; its files are phrasim's, wherever the test runs."""
    return play_in_process(parse_scenario(push_text(*faults, **changes), str(scenarios_folder() / "push.yaml")), Play())
