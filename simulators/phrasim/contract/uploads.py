"""Drives an upload service as its users and its Phraseanet do, by HTTP alone; every answer is held to its contract."""

from collections.abc import Iterator
from typing import Any

from phrasim.contract.finding import HttpExchange
from phrasim.contract.inquiry import NO_JSON, Commit, Inquiry, Over, answered, json_body, place_of
from phrasim.contract.principals import Principals
from phrasim.contract.sequences import exchange_of
from phrasim.contract.subject import Subject, file_form
from phrasim.journal.events import Request
from phrasim.journal.sightings import json_of
from phrasim.scenario.checks import seen_messages, violations
from phrasim.scenario.exchanges import Exchange

NO_ID = "00000000-0000-4000-8000-000000000000"
"""An id that nothing has."""

EFFECT_SECONDS = 10.0
"""How long what a service has answered with success may take to show: effects are asynchronous (A16, §2.6)."""

_PAUSE_SECONDS = 0.2
_PAGE = 30
"""Commits of one page of a deployed listing (§2.5)."""
_PAGES_MAX = 50


class Stopped(Exception):
    """What was tried cannot go on, since the contract was broken: the finding is noted already."""


class Uploads:
    """An upload service, asked by users and by Phraseanet; `target` is the slug of what is uploaded to, if any."""

    def __init__(self, subject: Subject, inquiry: Inquiry, callers: Principals) -> None:
        self.subject = subject
        self.inquiry = inquiry
        self.callers = callers
        targets = subject.bed.stage.targets
        self.target = targets[0]["slug"] if targets else None
        # Of a real service's target nobody here knows the id unless it was said.
        known = not subject.is_real or subject.bed.setting.target_id is not None
        self._target_id = targets[0]["id"] if targets and known else None
        self._read = 0
        self._notified: list[Commit] = []
        self._told: dict[str, Request] = {}

    def call(self, sender: Any, operation_id: str, authorization: str | None, **more: Any) -> HttpExchange:
        """Call an operation; its answer is held to the contract."""
        exchange = self.subject.call(sender, operation_id, authorization, **more)
        self.inquiry.examine(exchange)
        return exchange

    def upload(self, content: bytes = b"content", who: str = "owner") -> str:
        """The id of a new asset. Raises `Stopped`."""
        exchange = self.call("user", "uploadAsset", self.callers[who], **file_form(content, self.target))
        answer = self.success(exchange, 201)
        asset = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(asset, str):
            raise Stopped
        self.inquiry.assets.add(asset)
        if answer.get("size") != len(content):
            self.broken("size", exchange, f"size {answer.get('size')!r}", f"{len(content)}, the bytes that were sent")
        return asset

    def commit_body(self, assets: list[str], form_data: dict[str, Any] | None = None) -> dict[str, Any]:
        """What a request to commit those assets says."""
        body: dict[str, Any] = {"files": assets}
        if form_data is not None:
            body["formData"] = form_data
        return body | ({} if self.target is None else {"targetSlug": self.target})

    def commit(self, assets: list[str], who: str = "owner", form_data: dict[str, Any] | None = None) -> Commit:
        """Commit assets; the commit, once the service tells of it. Raises `Stopped`."""
        known = {one.id for one in self._every()}
        body = self.commit_body(assets, form_data)
        exchange = self.call("user", "commitAssets", self.callers[who], json=body)
        self.success(exchange, 200)
        for _ in self.tries():
            made = [one for one in self._every() if set(one.assets) == set(assets) and one.id not in known]
            if made:
                self._hold_listed(made)
                self.inquiry.commits[made[0].id] = made[0]
                return made[0]
        self.broken(
            "commit",
            exchange,
            f"neither listed nor notified within {EFFECT_SECONDS:g} s, with the assets that it has",
            "a commit of these assets, listed until it is acknowledged (A12)",
        )
        raise Stopped

    def _hold_listed(self, made: list[Commit]) -> None:
        if len({one.id for one in made}) > 1:
            exchange = self.listing()
            self.broken("commit", exchange, f"{len(made)} commits of one request", "one commit for each request")

    def _every(self) -> Iterator[Commit]:
        yield from self.listed()
        yield from self.notifications()

    def listed(self) -> list[Commit]:
        """The commits that are listed: those that nobody acknowledged. An id that stands twice is broken."""
        if "client with commit:list" not in self.callers:
            return []
        found: list[Commit] = []
        for page in range(1, _PAGES_MAX + 1):
            exchange = self.listing(page)
            items = items_of(self.success(exchange, 200))
            found += [one for one in map(self._commit, items) if one is not None]
            twice = [one.id for one in found if [other.id for other in found].count(one.id) > 1]
            if twice:
                self.broken("listing", exchange, f"the commit {twice[0]} stands there twice", "each commit once")
            if self.target is None or len(items) < _PAGE:
                break
        return found

    def listing(self, page: int = 1) -> HttpExchange:
        """The answer to Phraseanet's client, who asks for what is not acknowledged."""
        method, url = self.subject.operation("listCommits")
        query = "" if self.target is None else f"?acknowledged=false&page={page}"
        query += "" if self._target_id is None else f"&target={self._target_id}"
        exchange = self.subject.send("phraseanet", method, url + query, self.callers["client with commit:list"])
        self.inquiry.examine(exchange)
        return exchange

    def read(self, exchange: HttpExchange) -> list[Commit]:
        """The commits of an answer to who lists; none of an answer that is no listing."""
        return [one for one in map(self._commit, items_of(json_body(exchange))) if one is not None]

    def _commit(self, item: Any) -> Commit | None:
        if not isinstance(item, dict) or not isinstance(item.get("assets"), list):
            return None
        assets = [asset_id(asset) for asset in item["assets"]]
        if any(isinstance(asset, dict) for asset in item["assets"]):
            self._warn_of_embedded()
        if not isinstance(item.get("id"), str) or not isinstance(item.get("token"), str):
            return None
        return Commit(item["id"], item["token"], tuple(assets))

    def _warn_of_embedded(self) -> None:
        """§2.5, H25: both forms conform, and Phraseanet can read only one of them."""
        place = place_of(self.inquiry.contract.operations["listCommits"], 200)
        if any(one.rule == "compatibility" for one in self.inquiry.findings):
            return
        self.inquiry.find(
            "compatibility",
            "listCommits",
            asked="Phraseanet's client sent GET /commits",
            came="assets as embedded objects",
            expected="IRI strings, which are all that today's Phraseanet can pull: of objects it asks for an invalid "
            "path, and after three executions the commit lies in the failed queue (H25)",
            place=place,
            warning=True,
        )

    def notifications(self) -> list[Commit]:
        """The commits that Phraseanet, which is played here, was notified of; each notification is judged."""
        journal = self.subject.bed.journal

        def new() -> list[Any]:
            events = list(journal.since(self._read))
            self._read = journal.next
            return events

        for message in seen_messages(self.subject.look(new)):
            if not isinstance(message, Request) or message.operation_id != "enqueueAssets":
                continue
            for violation in violations(message, self.inquiry.contract) or ():
                self._find_notification(message, f"a notification with {violation}", "what is declared there")
            told = json_of(message)
            if isinstance(told, dict) and isinstance(told.get("assets"), list):
                commit = Commit(str(told.get("commit_id")), str(told.get("token")), tuple(map(str, told["assets"])))
                if commit not in self._notified:
                    self._notified.append(commit)
                    self._told[commit.id] = message
        return self._notified

    def hold_to_notification(self, commit: Commit, publisher: str) -> None:
        """Phraseanet hears of a commit (A20), and what it hears agrees with what the listing says (A28)."""
        for _ in self.tries():
            if any(set(one.assets) == set(commit.assets) for one in self.notifications()):
                break
        heard = [one for one in self.notifications() if set(one.assets) == set(commit.assets)]
        if not heard:
            self._find_notification(
                None, f"no notification of a commit within {EFFECT_SECONDS:g} s", "one for each commit (A20)"
            )
            raise Stopped
        found, message = heard[-1], self._told[heard[-1].id]
        told = json_of(message)
        wrong = [
            name
            for name, left, right in (
                ("commit_id", found.id, commit.id),
                ("token", found.token, commit.token),
                ("publisher", told.get("publisher"), publisher or told.get("publisher")),
            )
            if left != right and not (name == "commit_id" and "commit_id" not in told)
        ]
        if wrong:
            self._find_notification(message, f"another {' and another '.join(wrong)}", "those of the commit (A28)")

    def _find_notification(self, message: Request | None, came: str, expected: str) -> None:
        operation = self.inquiry.contract.operations["enqueueAssets"]
        self.inquiry.find(
            "notification",
            "enqueueAssets",
            asked="assets were committed",
            came=came,
            expected=expected,
            place=place_of(operation),
            exchange=None if message is None else exchange_of(Exchange(message, caller_observed=False)),
        )

    def metadata(self, asset: str, authorization: str | None) -> HttpExchange:
        """The answer to who asks for an asset."""
        return self.call("phraseanet", "getAsset", authorization, parameters={"id": asset})

    def file(self, asset: str, metadata: HttpExchange, authorization: str | None) -> HttpExchange:
        """The answer to who asks for the file of an asset: at its address, which in `deployed` the metadata tell."""
        if "downloadAsset" in self.inquiry.contract.operations:
            return self.call("phraseanet", "downloadAsset", authorization, parameters={"id": asset})
        told = json_body(metadata)
        url = told.get("url") if isinstance(told, dict) else None
        if not isinstance(url, str):
            raise Stopped
        exchange = self.subject.send("phraseanet", "GET", url)
        self.inquiry.examine(exchange)
        return exchange

    def acknowledge(self, commit: Commit, authorization: str | None) -> HttpExchange:
        """The answer to who acknowledges a commit."""
        return self.call(
            "phraseanet", "acknowledgeCommit", authorization, parameters={"id": commit.id}, json={"acknowledged": True}
        )

    def success(self, exchange: HttpExchange, status: int) -> Any:
        """The JSON of an answer that has to be a success. Raises `Stopped`, with a finding, where it is none."""
        value = json_body(exchange) if exchange.status == status else NO_JSON
        if value is NO_JSON:
            self.broken("status", exchange, f"{answered(exchange)} {_shown(exchange)}".rstrip(), f"{status}", status)
            raise Stopped
        return value

    def broken(self, rule: str, exchange: HttpExchange, came: str, expected: str, status: int | None = None) -> None:
        """A finding about an exchange."""
        self.inquiry.object(rule, exchange, came, expected, status=status)

    def tries(self) -> Iterator[None]:
        """As often as one looks whether an effect shows, with a pause between. Raises `Over` where the time is over."""
        for _ in range(round(EFFECT_SECONDS / _PAUSE_SECONDS)):
            yield
            if self.inquiry.over:
                raise Over
            self.subject.wait(_PAUSE_SECONDS)


def asset_id(told: Any) -> str:
    """The id of an asset of a commit, which is told as a plain id, as an IRI, or as an object (A12, §2.5)."""
    if isinstance(told, dict):
        told = told.get("id") or told.get("@id")
    return str(told).rpartition("/")[2]


def items_of(listing: Any) -> list[Any]:
    """The items of a listing: those of an array, or of a Hydra collection (§2.5)."""
    if isinstance(listing, dict):
        listing = listing.get("hydra:member")
    return listing if isinstance(listing, list) else []


def _shown(exchange: HttpExchange) -> str:
    """The sentence of a refusal, where it has one; nothing else, which may be secret."""
    told = json_body(exchange)
    if not isinstance(told, dict):
        return ""
    for name in ("detail", "hydra:description", "error_description", "message"):
        if isinstance(told.get(name), str):
            return f"({told[name]})"
    return ""
