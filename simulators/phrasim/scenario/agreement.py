"""What external participants say of one thing in several messages, held beside each other and to what was done.

openapi/ says of each message alone what may stand in it. These rules are about messages together; they look at the
journal and at the accounts of the run. No line shows a token.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from phrasim.journal.events import Event, Noted, Participant, Request
from phrasim.journal.sightings import json_of, path_of
from phrasim.scenario.exchanges import Exchange, Exchanges
from phrasim.scenario.model import Call, Scenario
from phrasim.testbed import Accounts


def disagreements(
    scenario: Scenario, accounts: Accounts, events: Sequence[Event], external: Sequence[Participant]
) -> list[str]:
    """A line for each thing that was said in two ways."""
    answered = [one for one in Exchanges(events).all if one.succeeded]
    committers = _committers(scenario, accounts)
    lines: list[str] = []
    if "auth" in external:
        lines += _token_owners(answered)
    lines += _publishers(answered, committers, _own_assets(answered))
    if "upload" in external:
        lines += _publisher_ids(answered, _ids_of(committers, accounts), _own_assets(answered))
        lines += _form_data(answered)
        lines += _listed_after_acknowledgement(events)
    if "phraseanet" in external:
        lines += _asset_tokens(answered)
    return list(dict.fromkeys(lines))


def _committers(scenario: Scenario, accounts: Accounts) -> frozenset[str]:
    """The e-mail addresses of those who commit; none where a step commits with a token of its own."""
    callers = {step.caller for step in scenario.steps if isinstance(step, Call) and step.operation_id == "commitAssets"}
    known = {"publisher": accounts.publisher.email, "administrator": accounts.administrator.email}
    if not all(isinstance(caller, str) and caller in known for caller in callers):
        return frozenset()
    return frozenset(known[str(caller)] for caller in callers)


def _ids_of(emails: frozenset[str], accounts: Accounts) -> list[str]:
    """The ids of those users, as far as they are known: an external Auth has told nobody."""
    return [user.id for user in (accounts.publisher, accounts.administrator) if user.email in emails and user.id]


def _own_assets(answered: Sequence[Exchange]) -> frozenset[str]:
    """The assets of this run: a real service may have others."""
    told = [_answer(one) for one in _of(answered, "uploadAsset")]
    return frozenset(str(asset["id"]) for asset in told if isinstance(asset, dict) and "id" in asset)


def _token_owners(answered: Sequence[Exchange]) -> Iterator[str]:
    """Auth says of a token that it is that of the user to whom it gave it."""
    owners: dict[str, str] = {}
    for one in _of(answered, "issueToken"):
        asked, given = json_of(one.request), _answer(one)
        if isinstance(asked, dict) and isinstance(given, dict) and isinstance(asked.get("username"), str):
            owners[str(given.get("access_token"))] = asked["username"]
    for one in _of(answered, "getTokenInfo"):
        scheme, _, token = _authorization(one.request).partition(" ")
        owner = owners.get(token) if scheme.lower() == "bearer" else None
        told = _answer(one)
        user = told.get("user") if isinstance(told, dict) else None
        names = [user.get("email"), user.get("username")] if isinstance(user, dict) else []
        if owner is not None and owner not in names:
            yield f"auth gave {owner!r} a token, and says that it is {names[0] if names else None!r}'s"


def _publishers(answered: Sequence[Exchange], committers: frozenset[str], own: frozenset[str]) -> Iterator[str]:
    """Auth tells of the publisher who was asked for, and that of the run's assets is one who committed."""
    publishers = [publisher for publisher, assets in _named_publishers(answered) if own.intersection(assets)]
    for one in _of(answered, "getPublisherInfo"):
        asked, told = path_of(one.request).rpartition("/")[2], _answer(one)
        if not isinstance(told, dict):
            continue
        if told.get("id") != asked:
            yield f"auth was asked for the publisher {asked!r} and told of {told.get('id')!r}"
        if committers and asked in publishers and told.get("email") not in committers:
            said = " or ".join(sorted(committers))
            yield f"the publisher {asked!r} is {told.get('email')!r}, and it was {said} who committed"


def _publisher_ids(answered: Sequence[Exchange], expected: list[str], own: frozenset[str]) -> Iterator[str]:
    """The upload service names as publisher of the run's assets who committed them."""
    for publisher, assets in _named_publishers(answered):
        if expected and own.intersection(assets) and publisher not in expected:
            yield f"upload names the publisher {publisher!r}; {' or '.join(sorted(expected))} committed"


def _named_publishers(answered: Sequence[Exchange]) -> Iterator[tuple[object, list[str]]]:
    """Each publisher that a notification or a listing names, with the assets of the commit."""
    notifications = [(json_of(one.request), "publisher") for one in _of(answered, "enqueueAssets")]
    listed = [(item, "userId") for one in _of(answered, "listCommits") for item in _listed(one)]
    for told, key in (*notifications, *listed):
        if isinstance(told, dict) and isinstance(told.get("assets"), list):
            yield told.get(key), [str(asset).rpartition("/")[2] for asset in told["assets"]]


def _form_data(answered: Sequence[Exchange]) -> Iterator[str]:
    """The metadata of an asset bear the form data of its commit."""
    given: dict[str, dict[str, Any]] = {}
    for one in _of(answered, "commitAssets"):
        asked = json_of(one.request)
        if isinstance(asked, dict) and isinstance(asked.get("formData"), dict):
            given |= {str(asset): asked["formData"] for asset in asked.get("files", ())}
    for one in _of(answered, "getAsset"):
        asset, told = path_of(one.request).rpartition("/")[2], _answer(one)
        form_data = told.get("formData") if isinstance(told, dict) else None
        for name, value in given.get(asset, {}).items():
            found = form_data.get(name) if isinstance(form_data, dict) else None
            if found != value:
                yield f"asset {asset} was committed with {name!r} {value!r}; its metadata say {found!r}"


def _listed_after_acknowledgement(events: Sequence[Event]) -> Iterator[str]:
    """The last listing lists no commit whose acknowledgement was answered before it was asked for.

    Those in between may: the effect of an acknowledgement need not be immediate (A16).
    """
    exchanges = Exchanges()
    acknowledged: dict[str, list[str]] = {}
    for event in events:
        exchanges.take(event)
        asked = None if isinstance(event, Noted) else event.message
        if isinstance(asked, Request) and asked.operation_id == "listCommits":
            before = _of([one for one in exchanges.ended if one.succeeded], "acknowledgeCommit")
            acknowledged[asked.id] = [path_of(one.request).split("/")[-2] for one in before]
    listings = [one for one in _of(exchanges.ended, "listCommits") if one.succeeded]
    for item in _listed(listings[-1]) if listings else ():
        if item.get("id") in acknowledged[listings[-1].request.id]:
            yield f"upload lists the commit {item['id']} again, whose acknowledgement it had answered"


def _asset_tokens(answered: Sequence[Exchange]) -> Iterator[str]:
    """Phraseanet reads assets with the AssetToken of their commit, not as somebody who may read everything."""
    for operation_id in ("getAsset", "downloadAsset"):
        for one in _of(answered, operation_id):
            if one.request.sender == "phraseanet":
                scheme = _authorization(one.request).partition(" ")[0]
                if scheme.lower() != "assettoken":
                    yield f"phraseanet called {operation_id} with {scheme or 'no authorization'}, not with AssetToken"


def _of(answered: Sequence[Exchange], operation_id: str) -> list[Exchange]:
    return [one for one in answered if one.request.operation_id == operation_id]


def _answer(exchange: Exchange) -> Any:
    return None if exchange.response is None else json_of(exchange.response)


def _listed(exchange: Exchange) -> list[dict[str, Any]]:
    listing = _answer(exchange)
    items = listing.get("hydra:member") if isinstance(listing, dict) else listing
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _authorization(request: Request) -> str:
    return dict(request.headers).get("authorization", "")
