"""The parts of the page as HTML, from what a landscape holds."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any

from phrasim.broker.client import BrokerError
from phrasim.documents import secret_fields
from phrasim.edge.fault_reading import EFFECTS
from phrasim.journal.lines import LineWriter
from phrasim.journal.redaction import fingerprint
from phrasim.report.html.entries import Entries, Entry, MessageEntry
from phrasim.report.html.lanes import ALL_LANES
from phrasim.report.html.queues import QueueHistory
from phrasim.report.html.rendering import asset, templates
from phrasim.report.html.run_page import details_of
from phrasim.serve.landscape import Landscape
from phrasim.serve.state import queues_of, set_fault
from phrasim.serve.trace_header import trace_header
from phrasim.testbed import SERVICES

SHOWN_MAX = 12
"""How many of each kind are shown, the newest."""

_PACKAGE = "phrasim.page"


def live_page(landscape: Landscape) -> str:
    """The page, before anything happens in it."""
    setting, contract = landscape.plan.setting, landscape.network.contract
    return _rendered(
        "live.html.jinja",
        profile=setting.profile,
        mode=setting.mode,
        lanes=ALL_LANES,
        operations=sorted(contract.operations),
        effects=EFFECTS,
        polls="phraseanet" in landscape.network.played,
    )


def page_asset(name: str) -> str:
    """The text of a style sheet or a script; what the page of a run has, too, is the same."""
    if name == "run.css":
        return asset(name)
    return (files(_PACKAGE) / "assets" / name).read_text(encoding="utf-8")


def row(entry: Entry) -> dict[str, Any]:
    """A row for the script: its place `n`, the `id` of its message, its classes, its HTML."""
    if isinstance(entry, MessageEntry):
        kind = str(entry.message.__struct_config__.tag)
        shown = _row_macros().message(entry, ALL_LANES)
        return {
            "n": entry.number,
            "id": entry.message.id,
            "class": " ".join((kind, *entry.marks)),
            "html": str(shown),
        }
    return {"n": entry.number, "id": "", "class": "noted", "html": str(_row_macros().note(entry, ALL_LANES))}


def opened_message(landscape: Landscape, message_id: str) -> str | None:
    """A message that is opened; None where the journal keeps none of that id."""
    network = landscape.network
    entries = Entries(network.contract)
    writer = LineWriter(trace_header(landscape.plan), secret_fields())
    for event in network.journal.events:
        entries.take(writer.redacted(event))
    number = entries.number_of(message_id)
    entry = None if number is None else entries.all[number - 1]
    if not isinstance(entry, MessageEntry):
        return None
    receiver = entry.message.receiver
    base_url = network.addressing.public_url(receiver) if receiver in SERVICES else None
    details = details_of(entry, entries, network.contract, base_url)
    return str(_row_macros().opened(entry, details, link=False))


async def state(landscape: Landscape, histories: Sequence[QueueHistory]) -> str:
    """The participants as they are now. Tokens are shown as fingerprints, as in a trace."""
    testbed, network, addressing = landscape.testbed, landscape.network, landscape.network.addressing
    assets, commits, records = testbed.upload.assets, testbed.upload.commits, testbed.phraseanet.records
    try:
        queues = await queues_of(testbed)
        broker_problem = ""
    except BrokerError as error:
        queues, broker_problem = [], str(error)
    end = max((one.steps[-1][0] for one in histories if one.steps), default=0)
    return _rendered(
        "participants.html.jinja",
        roles={name: (addressing.role(name), _url(landscape, name)) for name in (*SERVICES, "broker")},
        assets=_newest(assets),
        assets_count=len(assets),
        loose_count=sum(asset.commit is None for asset in assets),
        commits=_newest(commits),
        commits_count=len(commits),
        open_count=sum(not commit.acknowledged for commit in commits),
        records=_newest(records),
        records_count=len(records),
        counts=dict(testbed.services.counts()),
        users=[(user, landscape.tokens.get(user.id)) for user in islice(testbed.auth.users, SHOWN_MAX)],
        users_count=len(testbed.auth.users),
        queues=queues,
        broker_problem=broker_problem,
        histories=[one for one in histories if one.most],
        end=end,
        faults=[set_fault(account) for account in network.faults.all()],
        fingerprint=fingerprint,
    )


def _url(landscape: Landscape, name: str) -> str | None:
    if name == "broker":
        return None  # it bears a password
    addressing = landscape.network.addressing
    return addressing.public_url(name) if name in addressing.urls else None  # type: ignore[arg-type]


def _newest(things: Sequence[Any]) -> list[Any]:
    return list(islice(reversed(things), SHOWN_MAX))


def _rendered(template: str, **values: Any) -> str:
    return templates(_PACKAGE).get_template(template).render(values)


@cache
def _row_macros() -> Any:
    return templates(_PACKAGE).get_template("rows.html.jinja").module
