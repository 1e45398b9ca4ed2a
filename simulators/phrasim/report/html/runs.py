"""What is shown of a run: of one that was just played, or of one that a trace tells of."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from phrasim.documents import DocumentError, contract, flow_document, secret_fields
from phrasim.documents.yaml_text import read_text
from phrasim.journal.conformance import conform
from phrasim.journal.document import Section, sections
from phrasim.journal.events import Event, Header
from phrasim.journal.lines import LineWriter
from phrasim.report.html.run_page import Conformance, Run
from phrasim.scenario.document import drawn_section, scenario_of
from phrasim.scenario.events import Outcome, Verdict

PLAYED = "As the run judged them."


def run_of_outcome(outcome: Outcome) -> Run:
    """A run that was played: its verdicts, and the sequence that its scenario names."""
    scenario = outcome.scenario
    events = without_secrets(outcome.header, outcome.events)
    return Run(
        scenario.name,
        scenario.summary,
        outcome.header,
        events,
        outcome.verdicts,
        PLAYED,
        conformances(outcome.header, events, scenario.document, Path(scenario.file).parent),
    )


def run_of_trace(
    header: Header, events: Sequence[Event], verdicts: Sequence[Verdict], judged: str, folder: Path
) -> Run:
    """A run that a trace in `folder` tells of; `judged` says where the verdicts come from, or why there are none."""
    if header.tokens == "shown":
        events = without_secrets(header, events)
    scenario = scenario_of(header)
    name, summary = "served", "What was recorded while phrasim served."
    if header.scenario:
        name, summary = scenario.get("scenario", "a run"), scenario.get("summary", "Of a scenario that cannot be read.")
    document = scenario.get("document")
    found: Sequence[Conformance] = ()
    unheld = ""
    try:
        found = conformances(header, events, document if isinstance(document, str) else None, folder)
    except DocumentError as error:
        unheld = f"Not held to a document here: {error}."
    return Run(str(name), str(summary), header, events, verdicts, judged, found, unheld)


def without_secrets(header: Header, events: Iterable[Event]) -> list[Event]:
    """Events of a run as a trace has them that shows no tokens."""
    writer = LineWriter(header, secret_fields())
    return [writer.redacted(event) for event in events]


def conformances(header: Header, events: Sequence[Event], document: str | None, folder: Path) -> list[Conformance]:
    """How each commit walked the section that `document` names as `FILE#ANCHOR`, as seen from `folder`.

    Where none is named it is the one of the profile's own document of which the commit walked the most; nothing then
    where nothing was committed. Raises `DocumentError`.
    """
    if document is not None:
        return _held(drawn_section(document, folder), header, events)
    path = flow_document(header.profile)
    best: dict[str | None, Conformance] = {}
    for section in sections(read_text(path), path.name):
        for one in _held(section, header, events) if section.arrows is not None else ():
            known = best.get(one.verdict.commit_id)
            if one.verdict.found and (known is None or _walked(one) > _walked(known)):
                best[one.verdict.commit_id] = one
    return list(best.values())


def _held(section: Section, header: Header, events: Sequence[Event]) -> list[Conformance]:
    verdicts = conform(section, events, contract(header.profile), external=frozenset(header.external))
    return [Conformance(section, verdict) for verdict in verdicts]


def _walked(one: Conformance) -> float:
    """The part of the arrows that a commit walked."""
    arrows = one.verdict.arrows
    return sum(arrow.mark == "walked" for arrow in arrows) / max(1, len(arrows))
