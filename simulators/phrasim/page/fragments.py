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

LOOSE_MAX = 100
"""How many assets that are in no commit are offered to commit."""

_PACKAGE = "phrasim.page"


def live_page(landscape: Landscape) -> str:
    """The page, before anything happens in it."""
    contract, played = landscape.network.contract, landscape.network.played
    absent = [name for name in ("upload", "auth") if landscape.network.addressing.role(name) == "absent"]
    return _rendered(
        "live.html.jinja",
        title=title_of(landscape),
        absent=" and ".join(absent),
        lanes=ALL_LANES,
        operations=sorted(contract.operations),
        effects=EFFECTS,
        polls="phraseanet" in played,
    )


def title_of(landscape: Landscape) -> str:
    """What the page is called."""
    setting = landscape.plan.setting
    return f"{setting.mode} mode, {setting.profile}"


def loose_assets(landscape: Landscape) -> list[dict[str, str]]:
    """The assets that are in no commit, which a user may commit: `id` and `name` of the newest, the newest last."""
    found = [asset for asset in landscape.testbed.upload.assets if asset.commit is None]
    return [{"id": asset.id, "name": asset.original_name} for asset in found[-LOOSE_MAX:]]


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
    users = testbed.auth.users if "auth" in network.played else ()
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
        users=[(user, landscape.tokens.get(user.id)) for user in users[:SHOWN_MAX]],
        users_count=len(users),
        retain=testbed.setting.retain,
        queues=queues,
        broker_problem=broker_problem,
        histories=[one for one in histories if one.most],
        end=end,
        faults=[(one, _effect_words(one["fault"])) for one in map(set_fault, network.faults.all())],
        fingerprint=fingerprint,
    )


def _effect_words(fault: dict[str, Any]) -> str:
    """A fault's effect and where it strikes, in words."""
    effect = next(name for name in EFFECTS if name in fault)
    amount = fault[effect]
    values: list[object] = [] if amount is True else list(amount.values()) if isinstance(amount, dict) else [amount]
    numbers = ", ".join(map(str, fault.get("occurrences", ())))
    return " ".join([effect, *map(str, values), f"at call {numbers}" if numbers else "at every call"])


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
