"""The notification and the messages on RabbitMQ: values by their schemas, and what is wrong with what was sent.

Plain functions over the documents in openapi/ and over events of a journal. Which participant is asked, and on
which wire, is not known here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st

from phrasim.documents import Contract
from phrasim.documents.specification import Body, bodies, essence, installed_schemas
from phrasim.documents.store import at_pointer, installed_store, target
from phrasim.journal.events import Event, Publish, Request, Sent
from phrasim.testbed.services import HeldAsset, HeldCommit

NOTIFICATION = "/webhooks/notifyAssets/post"
"""Where the upload service's document says what it notifies."""

EXTRA_KEYS_MAX = 2


# Values that a schema allows.


@dataclass(slots=True)
class _Rules:
    """The rules that a value has to keep all at once, gathered from a schema and from what it refers to.

    Each schema in it goes with the file that its references are resolved in.
    """

    types: list[str] | None = None
    fixed: list[Any] | None = None
    properties: dict[str, list[tuple[str, Any]]] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    others: list[tuple[str, Any]] = field(default_factory=list)
    names: list[tuple[str, Any]] = field(default_factory=list)
    items: list[tuple[str, Any]] = field(default_factory=list)
    first: list[list[tuple[str, Any]]] = field(default_factory=list)
    choices: list[tuple[str, list[Any]]] = field(default_factory=list)
    limits: dict[str, Any] = field(default_factory=dict)
    patterns: list[str] = field(default_factory=list)


def values(file: str, pointer: str) -> st.SearchStrategy[Any]:
    """JSON values that the schema at `pointer` in `file` allows; those that it allows by no rule known here are few."""
    found = at_pointer(installed_store().document(file), pointer, f"{file}#{pointer}")
    return _values([(file, found)]).filter(lambda value: not installed_schemas().violations(file, pointer, value))


def anything() -> st.SearchStrategy[Any]:
    """Any JSON value, a small one."""
    scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _texts()
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts(), inner, max_size=3), max_leaves=4
    )


def _texts(**sizes: Any) -> st.SearchStrategy[str]:
    """Texts that UTF-8 can hold."""
    return st.text(st.characters(codec="utf-8"), **sizes)


def _values(schemas: Sequence[tuple[str, Any]]) -> st.SearchStrategy[Any]:
    rules = _gathered(schemas)
    if rules.fixed is not None:
        return st.sampled_from(rules.fixed)
    if rules.choices:
        file, branches = rules.choices[0]
        return st.one_of([_values([*schemas_without_choice(schemas), (file, branch)]) for branch in branches])
    if rules.types is None:
        rules.types = _implied(rules)
    if rules.types is None:
        return anything()
    return st.one_of([_of_type(name, rules) for name in rules.types])


def schemas_without_choice(schemas: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """The schemas without the `anyOf` or `oneOf` that stands in them."""
    flat = [one for schema in schemas for one in _flat(schema)]
    return [(file, {key: rule for key, rule in one.items() if key not in ("anyOf", "oneOf")}) for file, one in flat]


def _flat(schema: tuple[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """A schema and all that it is made of, each without its references."""
    file, found = schema
    if not isinstance(found, dict):
        return
    yield file, {key: rule for key, rule in found.items() if key not in ("$ref", "allOf")}
    if "$ref" in found:
        name, pointer = target(found["$ref"], file)
        yield from _flat((name, at_pointer(installed_store().document(name), pointer, found["$ref"])))
    for part in found.get("allOf", ()):
        yield from _flat((file, part))


def _gathered(schemas: Sequence[tuple[str, Any]]) -> _Rules:
    rules = _Rules()
    for file, one in (flat for schema in schemas for flat in _flat(schema)):
        for name, rule in one.items():
            _gather(rules, file, name, rule)
    return rules


def _gather(rules: _Rules, file: str, name: str, rule: Any) -> None:
    match name:
        case "type":
            named = rule if isinstance(rule, list) else [rule]
            rules.types = named if rules.types is None else [one for one in rules.types if one in named]
        case "const" | "enum":
            allowed = rule if name == "enum" else [rule]
            rules.fixed = allowed if rules.fixed is None else [one for one in rules.fixed if one in allowed]
        case "properties":
            for key, value in rule.items():
                rules.properties.setdefault(key, []).append((file, value))
        case "required":
            rules.required.update(rule)
        case "additionalProperties":
            rules.others.append((file, rule))
        case "propertyNames":
            rules.names.append((file, {"type": "string", **rule}))
        case "items":
            rules.items.append((file, rule))
        case "prefixItems":
            for place, item in enumerate(rule):
                if len(rules.first) <= place:
                    rules.first.append([])
                rules.first[place].append((file, item))
        case "anyOf" | "oneOf":
            rules.choices.append((file, rule))
        case "pattern":
            rules.patterns.append(rule)
        case _:
            rules.limits[name] = rule


def _implied(rules: _Rules) -> list[str] | None:
    """The type that a schema speaks of without naming it."""
    if rules.properties or rules.required:
        return ["object"]
    return ["array"] if rules.items or rules.first else None


def _of_type(name: str, rules: _Rules) -> st.SearchStrategy[Any]:
    limits = rules.limits
    match name:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(limits.get("minimum"), limits.get("maximum", 2**53))
        case "number":
            return st.floats(limits.get("minimum"), limits.get("maximum"), allow_nan=False, allow_infinity=False)
        case "string":
            return _text(rules)
        case "array":
            return _array(rules)
        case _:
            return _object(rules)


def _text(rules: _Rules) -> st.SearchStrategy[str]:
    match rules.limits.get("format"):
        case "uuid":
            return st.uuids().map(str)
        case "uri":
            return st.from_regex(r"https?://[a-z]{1,8}\.test(:[1-9][0-9]{1,3})?(/[a-z]{0,4}){0,3}", fullmatch=True)
        case "date-time":
            return st.datetimes().map(lambda at: at.isoformat(timespec="seconds") + "+00:00")
    if rules.patterns:
        # What of several patterns the first does not say, the whole value is held to in the end.
        return st.from_regex(rules.patterns[0], alphabet=st.characters(codec="ascii"))
    return _texts(min_size=rules.limits.get("minLength", 0), max_size=rules.limits.get("maxLength", 40))


def _array(rules: _Rules) -> st.SearchStrategy[list[Any]]:
    least = max(0, rules.limits.get("minItems", 0) - len(rules.first))
    item = _values(rules.items) if rules.items else anything()
    most = rules.limits.get("maxItems", least + 3)
    rest = st.lists(item, min_size=least, max_size=max(least, min(most, least + 3)))
    if not rules.first:
        return rest
    first = st.tuples(*map(_values, rules.first)).map(list)
    return st.builds(lambda head, tail: head + tail, first, rest)


def _object(rules: _Rules) -> st.SearchStrategy[dict[str, Any]]:
    known = {key: parts for key, parts in rules.properties.items() if not any(part is False for _, part in parts)}
    # A schema may ask for a field that it does not describe.
    fields = {
        key: _values(known[key]) if key in known else anything()
        for key in {**known, **dict.fromkeys(sorted(rules.required))}
    }
    needed = {key: one for key, one in fields.items() if key in rules.required}
    spare = {key: one for key, one in fields.items() if key not in rules.required}
    written = st.fixed_dictionaries(needed, optional=spare)
    if any(rule is False for _, rule in rules.others):
        return written
    names = _values(rules.names) if rules.names else _texts(min_size=1, max_size=8)
    others = [one for one in rules.others if isinstance(one[1], dict)]
    more = st.dictionaries(
        names.filter(lambda name: name not in rules.properties),
        _values(others) if others else anything(),
        max_size=EXTRA_KEYS_MAX,
    )
    return st.builds(lambda extra, own: {**extra, **own}, more, written)


def messages(contract: Contract, channel: str) -> st.SearchStrategy[Any]:
    """The bodies that a channel may carry, of each of its kinds."""
    return st.one_of([values(file, pointer) for file, pointer in contract.messages.channels[channel].bodies])


def notifications(contract: Contract) -> st.SearchStrategy[Any]:
    """The bodies that Phraseanet's operation `enqueueAssets` takes."""
    body = contract.operations["enqueueAssets"].requests["application/json"]
    assert body.pointer is not None
    return values(body.file, body.pointer)


# Values that it does not allow: a right one with one change, which has a name.


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A body that is wrong in one way."""

    how: str
    body: bytes


NOT_JSON: tuple[Spoilt, ...] = (
    Spoilt("empty", b""),
    Spoilt("no JSON", b"certainly!"),
    Spoilt("cut off", b'[{"publisher": "'),
    Spoilt("UTF-16", "[]".encode("utf-16")),
    Spoilt("no UTF-8", b'["\xff"]'),
    Spoilt("NaN", b"[NaN]"),
    Spoilt("zero bytes", b"\0" * 16),
    Spoilt("deep", b"[" * 100_000),
    Spoilt("deep and closed", b"[" * 100_000 + b"]" * 100_000),
    Spoilt("a number of 5000 digits", b"[" + b"9" * 5000 + b"]"),
)

NO_MESSAGES: tuple[Spoilt, ...] = tuple(
    Spoilt(f"JSON, and {name}", msgspec.json.encode(value))
    for name, value in {
        "null": None,
        "a number": 7,
        "a text": "x",
        "an empty list": [],
        "an empty object": {},
        "a list of nothing": [None],
        "a list of lists": [[[]]],
        "an object of another kind": {"a": 1},
        "a payload alone": {"payload": {}},
        "a type alone": {"message_type": "assetsIngest"},
        "an unknown type": {"message_type": "mainQueue", "payload": {}},
        "a type that is no text": {"message_type": ["assetsIngest"], "payload": {}},
        "a payload that is no object": {"message_type": "assetsIngest", "payload": ["x"]},
    }.items()
)


def wrong_for(value: Any) -> list[Any]:
    """JSON values of another type than this one."""
    others: list[Any] = [None, True, 7, -1.5, "x", [], {}, [None], {"a": {}}]
    return [other for other in others if type(other) is not type(value)]


@st.composite
def spoilt_fields(draw: st.DrawFn, whole: Any, fields: Sequence[tuple[str | int, ...]]) -> Spoilt:
    """That value with one of its fields, by their paths, left out or of another type."""
    path = draw(st.sampled_from(list(fields)))
    value = msgspec.json.decode(msgspec.json.encode(whole))
    owner = value
    for key in path[:-1]:
        owner = owner[key]
    wrong = draw(st.sampled_from([*wrong_for(owner[path[-1]]), ...]))
    if wrong is ...:
        del owner[path[-1]]
        return Spoilt(f"without {path}", msgspec.json.encode(value))
    owner[path[-1]] = wrong
    return Spoilt(f"{path} is {wrong!r}", msgspec.json.encode(value))


QUEUE = "$queue"

ODD_DEATHS: tuple[Any, ...] = (
    "rejected",
    7,
    [],
    {},
    [None],
    ["rejected"],
    [[]],
    [{}],
    [{"queue": QUEUE, "reason": "rejected"}],
    [{"queue": QUEUE, "reason": "rejected", "count": "many"}],
    [{"queue": QUEUE, "reason": "rejected", "count": float("nan")}],
    [{"queue": QUEUE, "reason": "rejected", "count": float("inf")}],
    [{"queue": QUEUE, "reason": "rejected", "count": []}],
    [{"queue": QUEUE, "reason": "rejected", "count": True}],
    [{"queue": QUEUE, "reason": "rejected", "count": 2**63 - 1}],
    [{"queue": QUEUE, "reason": "rejected", "count": "9" * 5000}],
    [{"queue": [QUEUE], "reason": {}, "count": 1}],
    [{"queue": "elsewhere", "reason": "rejected", "count": 9}],
)
"""What a publisher may write into `x-death`, and no broker would; `QUEUE` stands for where the message goes."""

DEATHS_FOR_EVER: tuple[Any, ...] = (
    [{"queue": QUEUE}],
    [{"queue": QUEUE, "reason": "expired", "count": 1}, {"queue": QUEUE, "reason": "rejected"}],
)
"""Tales of another death in that queue: of several the deployed consumer counts the last, which never grows (H13)."""


def told_of(queue: str, deaths: Any) -> Any:
    """A tale of deaths as it is told in a queue."""
    if isinstance(deaths, list):
        return [told_of(queue, one) for one in deaths]
    if isinstance(deaths, dict):
        return {name: told_of(queue, value) for name, value in deaths.items()}
    return queue if deaths == QUEUE else deaths


# What is wrong with what was sent.


def notification_violations(
    contract: Contract,
    request: Request,
    commit: HeldCommit,
    assets: Sequence[HeldAsset],
    fields: Iterable[str],
    authorization: str | None,
    base_url: str,
) -> list[str]:
    """What of a notification breaks its schema, or does not agree with the commit that it is of.

    `assets` are those of the commit, `fields` the ones that the body should hold, `authorization` its header.
    """
    operation = contract.operations["enqueueAssets"]
    headers = dict(request.headers)
    content = msgspec.json.encode(request.body.json)
    expected = {
        "assets": [asset.id for asset in assets],
        "publisher": commit.user_id,
        "token": commit.token,
        "commit_id": commit.id,
        "base_url": base_url,
        "hashes": {asset.id: asset.file.sha256 for asset in assets},
    }
    checks = {
        "the path": (request.target, operation.path),
        "the method": (request.method, operation.method),
        "the authorization": (headers.get("authorization"), authorization),
        "the content type": (essence(headers.get("content-type", "")), "application/json"),
        "the length": (headers.get("content-length"), str(request.body.length)),
        "the length of the body": (len(content), request.body.length),
        "cookies": (headers.get("cookie"), None),
        **{f"the field {name}": (request.body.json.get(name), expected[name]) for name in fields},
        "the fields": (sorted(request.body.json), sorted(fields)),
    }
    schema = notification_schema(contract.specification("upload").file)
    assert schema.pointer is not None
    broken = [
        f"the body: {one}" for one in installed_schemas().violations(schema.file, schema.pointer, request.body.json)
    ]
    return broken + [
        f"{what}: {found!r}, and not {right!r}" for what, (found, right) in checks.items() if found != right
    ]


@cache
def notification_schema(file: str) -> Body:
    """The schema of the notification in that document of an upload service."""
    written = at_pointer(installed_store().document(file), f"{NOTIFICATION}/requestBody", file)
    found_in, pointer, found = installed_store().resolve(file, written)
    return bodies(found_in, pointer or f"{NOTIFICATION}/requestBody", found)["application/json"]


def published(events: Iterable[Event]) -> list[Publish]:
    """What Phraseanet has published, in its order."""
    sent = (event.message for event in events if isinstance(event, Sent))
    return [one for one in sent if isinstance(one, Publish) and one.sender == "phraseanet"]


def publish_violations(contract: Contract, message: Publish, *, body: bool = True) -> list[str]:
    """What of a message of Phraseanet's breaks messages.yaml: its place, its properties, its headers and its body.

    Without `body` that is not judged: it came from somebody else.
    """
    documents = contract.messages
    channel = documents.for_routing_key(message.exchange, message.routing_key)
    if channel is None:
        return [f"no channel has the exchange {message.exchange!r} and the routing key {message.routing_key!r}"]
    sends = [one for one in documents.operations.values() if (one.action, one.channel) == ("send", channel.name)]
    if not sends:
        return [f"nobody sends to {channel.name}"]
    found = []
    if message.operation_id not in {one.operation_id for one in sends}:
        found.append(f"the operation is {message.operation_id!r}")
    mode = message.properties.get("delivery-mode")
    if all(one.persistent for one in sends) != (mode == 2):
        found.append(f"the delivery mode is {mode!r}")
    if body:
        content_type = message.properties.get("content-type")
        found += map(str, documents.message_violations(channel.name, message.body.json, content_type))
    return found + header_violations(contract, channel.name, message.properties.get("headers", {}))


def header_violations(contract: Contract, channel: str, headers: Mapping[str, Any]) -> list[str]:
    """What is wrong with the headers of a message on a channel, but for the trace that the wire puts there."""
    own = {name: _as_json(value) for name, value in headers.items() if name != "traceparent"}
    written = contract.messages.document["channels"][channel]["messages"].values()
    declared = []
    for reference in written:
        file, _, message = installed_store().resolve(contract.messages.file, reference)
        if "headers" in message:
            found_in, pointer, _ = installed_store().resolve(file, message["headers"])
            declared.append((found_in, f"{pointer}/schema"))
    if declared and own:
        return min((list(map(str, installed_schemas().violations(*one, own))) for one in declared), key=len)
    # A given up message keeps the headers that its delivery had.
    unknown = [] if channel.endswith("_failed") else sorted(own)
    return [f"the header {name} is declared nowhere" for name in unknown]


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, Mapping):
        return {name: _as_json(inner) for name, inner in value.items()}
    return [_as_json(inner) for inner in value] if isinstance(value, list | tuple) else value


# What a message asks for.


def documented_requests(message: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str | None]]:
    """Method, path and credentials of what Phraseanet has to ask for a message (A6, A18, A25)."""
    first, *assets = message
    publisher = first.get("publisher") or first.get("publisher_id") or first.get("id")
    token = f"AssetToken {first['token']}" if first.get("token") else None
    asked: list[tuple[str, str, str | None]] = [("GET", f"/users/info/{publisher}", "Bearer")]
    for asset in assets:
        asked += [("GET", f"/assets/{asset['id']}", token), ("GET", f"/assets/{asset['id']}/download", token)]
    if "commit_id" in first:
        asked.append(("POST", f"/commits/{first['commit_id']}/ack", token))
    return asked


def ingest_requests(payload: Mapping[str, Any]) -> list[tuple[str, str, str | None]]:
    """The same of a deployed commit (§4.5): the metadata of its first asset, and then those of each asset."""
    token = f"AssetToken {payload['token']}"
    first: tuple[str, str, str | None] = ("GET", f"/assets/{payload['assets'][0]}", token)
    each = [record_requests(asset, token) for asset in payload["assets"]]
    return [first, *(request for requests in each for request in requests)]


def record_requests(asset: str, token: str) -> list[tuple[str, str, str | None]]:
    """The same of a deployed asset (§4.6): metadata, file without a token, acknowledgement."""
    return [
        ("GET", f"/assets/{asset}", token),
        ("GET", f"/files/{asset}", None),
        ("POST", f"/assets/{asset}/ack", token),
    ]


def requests_of(events: Iterable[Event]) -> list[tuple[str, str, str | None]]:
    """Method, path and credentials of what Phraseanet has asked, but for tokens; a Bearer by its scheme alone."""
    found = []
    for event in events:
        if isinstance(event, Sent) and isinstance(event.message, Request) and event.message.sender == "phraseanet":
            request = event.message
            if request.operation_id not in ("issueToken", "issueClientToken"):
                shown = dict(request.headers).get("authorization")
                scheme = "Bearer" if shown is not None and shown.startswith("Bearer ") else shown
                found.append((request.method, request.target.partition("?")[0], scheme))
    return found
