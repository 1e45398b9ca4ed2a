"""The templates of the pages, and what they ask for."""

import json
import re
from functools import cache
from importlib.resources import files

import jinja2
import msgspec
from markupsafe import Markup

from phrasim.documents import Contract
from phrasim.journal.account import seconds
from phrasim.journal.diagram import LIFELINES
from phrasim.journal.events import Body, Delivery, Message, Participant, Publish, Request
from phrasim.report.curl import content_of, journal_curl
from phrasim.report.html.queues import QueueHistory

SHOWN_CHARACTERS_MAX = 16_384
"""Characters of a body that a page shows; of a longer one it shows the beginning."""

_CHART_WIDTH, _CHART_HEIGHT = 1000, 100

_UNSEEN = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)"
    "|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
    "|[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
"""Controls but for tabs and ends of lines, what turns the direction of a text, and what HTML may not hold."""


@cache
def templates(*packages: str) -> jinja2.Environment:
    """The templates, which escape whatever is put into them; those of other `packages` that build on them, too."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(one) for one in (*packages, "phrasim.report.html")]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=legible,
    )
    environment.filters["seconds"] = seconds
    environment.filters["lifeline"] = lifeline
    environment.globals["chart"] = chart
    return environment


def legible(value: object) -> object:
    """What is put into a page, with each sign written out that nobody would see, or that HTML may not hold."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _UNSEEN.sub(lambda found: repr(found[0])[1:-1], value)


def lifeline(participant: Participant) -> str:
    """What a participant is called in a drawing."""
    return LIFELINES[participant].replace("_", " ")


def asset(name: str) -> str:
    """The text of a style sheet or a script of the pages."""
    return (files("phrasim.report.html") / "assets" / name).read_text(encoding="utf-8")


def inlined(name: str) -> Markup:
    """The same, to stand in a page of one file; it is ours, and ends no element."""
    return Markup(asset(name))  # noqa: S704 - no text of others is in it


def fields_of(message: Message) -> list[tuple[str, str]]:
    """The headers of an HTTP message, or an AMQP message's properties and where it went."""
    if isinstance(message, Publish | Delivery):
        route = [("exchange", message.exchange or "the default exchange"), ("routing key", message.routing_key)]
        if isinstance(message, Delivery):
            route = [("queue", message.queue), ("redelivered", "yes" if message.redelivered else "no"), *route]
        return [*route, *((name, _text(value)) for name, value in message.properties.items())]
    return list(message.headers)


def body_of(body: Body) -> tuple[str, str]:
    """A body for people: what it is, and as much of it as is shown; empty where the journal did not keep it."""
    if body.sha256 is not None:
        whose = "SHA-256 of the file in it" if body.digest == "stored" else "SHA-256"
        return f"{body.length} bytes, {whose} {body.sha256}", ""
    if not body.length:
        return "empty", ""
    if body.json is not msgspec.UNSET:
        text = json.dumps(body.json, indent=2, ensure_ascii=False)
    else:
        text = content_of(body).decode("utf-8", "backslashreplace")
    cut = "" if len(text) <= SHOWN_CHARACTERS_MAX else f", of which {SHOWN_CHARACTERS_MAX} characters are shown"
    return f"{body.length} bytes{cut}", text[:SHOWN_CHARACTERS_MAX]


def base_url_of(request: Request) -> str:
    """Where a request went, by its `Host`."""
    host = dict(request.headers).get("host", f"{request.receiver}.test")
    return f"{'https' if host.endswith('.test') else 'http'}://{host}"


def curl_of(message: Message, base_url: str | None = None) -> str:
    """The curl command of a request; empty for any other message."""
    return journal_curl(message, base_url or base_url_of(message)) if isinstance(message, Request) else ""


def place_in_contract(message: Message, contract: Contract) -> str:
    """The file in openapi/ that a message's operation stands in, and its id; empty where it is no operation."""
    operation_id = message.operation_id or ""
    if operation_id in contract.operations:
        return f"{operation_id}, openapi/{contract.operations[operation_id].file}"
    if operation_id in contract.messages.operations:
        return f"{operation_id}, openapi/{contract.messages.file}"
    return ""


def chart(history: QueueHistory, end: int) -> str:
    """The steps of a queue as the path of an SVG of 1000 x 100; `end` is the run's end in nanoseconds.

    Where no time passes, as in most runs on simulated time, they stand side by side in their order.
    """
    most, width = max(1, history.most), end or len(history.steps) + 1
    path = [f"M0 {_CHART_HEIGHT}"]
    for number, (at, depth) in enumerate(history.steps, start=1):
        place = at if end else number
        path.append(f"H{round(place * _CHART_WIDTH / width, 1)} V{round((1 - depth / most) * _CHART_HEIGHT, 1)}")
    return " ".join([*path, f"H{_CHART_WIDTH}"])


def _text(value: object) -> str:
    """A property as a trace has it; in a run that was just played its times are still times."""
    return value if isinstance(value, str) else json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
