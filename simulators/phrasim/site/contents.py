"""All pages of the site, in the order of its navigation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from typer.core import TyperGroup

from phrasim.documents import documents_root
from phrasim.documents.contract import CONTRACTS
from phrasim.documents.store import Store
from phrasim.documents.yaml_text import read_text
from phrasim.site import decisions
from phrasim.site.api_pages import api_page, api_path, specification_path, specification_script
from phrasim.site.command_page import PATH as COMMANDS
from phrasim.site.command_page import command_page
from phrasim.site.guide_pages import guide_page
from phrasim.site.message_pages import message_page
from phrasim.site.page import Page
from phrasim.site.runs import Run
from phrasim.site.scenario_pages import INDEX, scenario_index, scenario_page
from phrasim.site.sequence_pages import sequence_page, sequence_path
from phrasim.site.start_page import start_page

_NAMES = {
    "upload": "Upload service",
    "phraseanet": "Phraseanet",
    "auth": "Auth service",
    "messages": "Messages",
}
_CONTROL = "control.yaml"
_GROUPS = {
    "Protocol": (
        "docs/request-flow.md",
        "docs/deployed-flow.md",
        *(sequence_path(profile) for profile in CONTRACTS),
        "docs/profiles.md",
        "docs/findings.md",
        "docs/conformance.md",
    ),
    "Reference": (
        *(api_path(file) for files in CONTRACTS.values() for file in files.values()),
        api_path(_CONTROL),
        COMMANDS,
        "docs/broker.md",
        "docs/traces.md",
        "docs/report.md",
    ),
    "Scenarios": (INDEX, "docs/scenarios.md"),
    "Guides": (
        "docs/ci.md",
        "docs/verify.md",
        "docs/real-participants.md",
        "docs/load.md",
        "docs/pytest.md",
        "docs/control.md",
        "docs/live.md",
    ),
}
"""The navigation. A document of docs/ that is not named here stands at the end of the guides."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What the site is made of: the start page, the pages of the navigation, those of the scenarios, and scripts.

    Scripts are texts by their path beside the pages.
    """

    start: Page
    groups: dict[str, list[Page]]
    scenarios: list[Page]
    scripts: dict[str, str]

    @property
    def pages(self) -> Iterator[Page]:
        """Every page."""
        yield self.start
        for group in self.groups.values():
            yield from group
        yield from self.scenarios


def contents(store: Store, runs: Sequence[Run], root: TyperGroup) -> Contents:
    """The contents of the site; `runs` are those of the scenarios, `root` is the command.

    Raises `DocumentError` where a document cannot be read, LookupError for a reference that leads nowhere.
    """
    guides = {f"docs/{path.name}": path for path in sorted((documents_root() / "docs").glob("*.md"))}
    known = decisions.anchors(read_text(guides[decisions.PAGE]))
    scenarios = [scenario_page(run) for run in runs]
    made: dict[str, Page] = {page.path: page for page in _references(store, known)}
    for profile in CONTRACTS:
        own = {run.name: run for run in runs if run.outcome.scenario.profile == profile}
        made[sequence_path(profile)] = sequence_page(profile, own)
    made[INDEX] = scenario_index(runs)
    made[COMMANDS] = command_page(root)
    paths = {*made, *guides, *(page.path for page in scenarios)}
    made |= {file: guide_page(file, read_text(path), paths) for file, path in guides.items()}
    groups = {heading: [made[path] for path in chosen] for heading, chosen in _GROUPS.items()}
    placed = {page.path for group in groups.values() for page in group}
    groups["Guides"] += [page for path, page in made.items() if path not in placed]
    scripts = {specification_path(file): specification_script(store, file) for file in _api_files()}
    return Contents(start_page(groups), groups, scenarios, scripts)


def _references(store: Store, known: frozenset[str]) -> Iterator[Page]:
    for profile, files in CONTRACTS.items():
        for participant, file in files.items():
            make = message_page if participant == "messages" else api_page
            yield make(store, file, f"{_NAMES[participant]}, {profile}", known)
    yield api_page(store, _CONTROL, "The control API", known)


def _api_files() -> Iterator[str]:
    for files in CONTRACTS.values():
        yield from (file for participant, file in files.items() if participant != "messages")
    yield _CONTROL
