"""A simulated service that breaks one rule, and how it is put among the others."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from starlette.types import ASGIApp

from phrasim.journal.events import Participant
from phrasim.testbed import ProfileName
from phrasim.testbed.deployed import DeployedStage
from phrasim.testbed.documented import DocumentedStage

Apps = Mapping[Participant, ASGIApp]


@dataclass(slots=True)
class Applied:
    """How often a mutant did what it should not."""

    times: int = 0


@dataclass(frozen=True, slots=True)
class Mutant:
    """One rule broken. `operation_id` is the operation at fault, None where it is none's; `apply` breaks the rule."""

    profile: ProfileName
    family: str
    participant: Participant
    operation_id: str | None
    name: str
    apply: Callable[[Applied], AbstractContextManager[Any]]

    @property
    def id(self) -> str:
        """What it is called: it stays the same from run to run."""
        return f"{self.profile}: {self.family}: {self.operation_id or self.participant}: {self.name}"


@contextmanager
def mutated_services(profile: ProfileName, change: Callable[[dict[Any, ASGIApp], Any], Apps]) -> Iterator[None]:
    """From each beginning on, the services of the profile have the applications that `change` makes of theirs."""
    stage = DocumentedStage if profile == "documented" else DeployedStage
    begin = stage.begin

    def changed(self: Any, *args: Any) -> Any:
        services = begin(self, *args)
        services.apps = change(dict(services.apps), services)
        return services

    with mock.patch.object(stage, "begin", changed):
        yield


def patched(target: Any, name: str, other: Callable[[Any, Applied], Any]) -> Callable[[Applied], Any]:
    """A mutant in which an attribute is another one; `other` makes it from the true one."""

    def apply(applied: Applied) -> Any:
        return mock.patch.object(target, name, other(getattr(target, name), applied))

    return apply
