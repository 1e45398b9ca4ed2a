"""Whether a real participant is set up so that it can be judged: that it knows those who are played around it."""

from phrasim.contract.finding import HttpExchange
from phrasim.contract.inquiry import json_body
from phrasim.contract.principals import Principals
from phrasim.contract.subject import Subject, file_form

_HOW = "docs/real-participants.md tells what to set up"


class NotSetUp(Exception):
    """Nothing can be judged; the message says what was tried, what came, and what may be the cause."""


def hold_set_up(subject: Subject, callers: Principals) -> None:
    """Raise `NotSetUp` where the first thing that a hand-off begins with is refused.

    An upload service has to take a file of a user whom phrasim's Auth knows; a real Auth has to let users log in.
    """
    if "owner" not in callers or ("client with commit:list" not in callers and subject.participant == "auth"):
        raise NotSetUp(f"{'; '.join(callers.missing[:1])}: with other credentials Auth might let them in")
    if subject.participant != "upload":
        return
    targets = subject.bed.stage.targets
    slug = targets[0]["slug"] if targets else None
    exchange = subject.call("user", "uploadAsset", callers["owner"], **file_form(b"Is it set up?", slug))
    if exchange.status in (401, 403, 503) or (exchange.status == 400 and slug is not None):
        raise NotSetUp(_why(subject, exchange, slug))


def _why(subject: Subject, exchange: HttpExchange, slug: str | None) -> str:
    auth = subject.bed.network.addressing.public_url("auth")
    causes = {
        401: f"it may not know the Auth that issued the user's token, which is at {auth}",
        403: "the user may need a right there",
        503: f"it may not reach Auth, which is at {auth}",
        400: f"it may have no target {slug!r}; name one that it has by --credential target.slug=...",
    }
    said = json_body(exchange)
    detail = said.get("detail") or said.get("hydra:description") if isinstance(said, dict) else None
    told = f" ({detail})" if isinstance(detail, str) else ""
    return (
        f"uploading a file as the publisher was answered with {exchange.status}{told}: "
        f"{causes[exchange.status or 400]}, or it is a service of another --profile; {_HOW}"
    )
