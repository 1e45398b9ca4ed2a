"""The scenarios that come with phrasim, played in this process when the site is built."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from phrasim.documents import contract, documents_root, scenarios_of
from phrasim.documents.contract import CONTRACTS
from phrasim.journal.diagram import mermaid
from phrasim.scenario.events import Outcome
from phrasim.scenario.loader import load_scenario
from phrasim.scenario.runner import Play, play_in_process
from phrasim.site.sequence import Drawing, read_drawing

SEED = 1


@dataclass(frozen=True, slots=True)
class Run:
    """A scenario that was played: how it ended, and its arrows. `file` is its path in the repository."""

    file: str
    outcome: Outcome

    @property
    def drawing(self) -> Drawing:
        """The run as a sequence."""
        scenario = self.outcome.scenario
        return read_drawing(mermaid(self.outcome.events, contract(scenario.profile), scenario.summary), self.file)

    @property
    def name(self) -> str:
        """By which the command finds it in its profile."""
        return PurePosixPath(self.file).stem

    @property
    def page(self) -> str:
        """The path of its page."""
        return str(PurePosixPath(self.file).with_suffix(".md"))


def shipped_scenarios() -> Iterator[str]:
    """The scenarios that come with phrasim, by profile and name, as paths in the repository."""
    for profile in CONTRACTS:
        for path in sorted(scenarios_of(profile).glob("*.yaml")):
            yield path.relative_to(documents_root()).as_posix()


def play_shipped(file: str) -> Run:
    """Play one of them.

    Raises `ScenarioError`, `FileError` or `DocumentError` where what comes with phrasim is damaged.
    """
    return Run(file, play_in_process(load_scenario(documents_root() / file), Play(SEED)))
