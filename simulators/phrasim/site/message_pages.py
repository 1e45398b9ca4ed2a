"""A page for each AsyncAPI document: the queues of Phraseanet, what lies in them, and who takes it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from phrasim.documents.store import Store
from phrasim.site.api_pages import api_path
from phrasim.site.decisions import told
from phrasim.site.fields import fields_table
from phrasim.site.page import Page, fence, table
from phrasim.site.whole import whole

_ACTIONS = {"send": "sends to", "receive": "receives from"}


def message_page(store: Store, file: str, title: str, known: frozenset[str]) -> Page:
    """The page of an AsyncAPI document; `known` are the findings that can be linked to."""
    path = api_path(file)
    document = whole(store, file)
    written = store.document(file)
    channels: dict[str, dict[str, Any]] = document["channels"]
    parts = [document["info"].get("description", ""), "## What Phraseanet does with them"]
    rows = []
    for name, operation in document["operations"].items():
        channel = written["operations"][name]["channel"]["$ref"].rpartition("/")[2]
        arrow = operation.get("x-sequence", {}).get("label", "")
        rows.append(
            (
                f"`{name}`",
                f"{_ACTIONS[operation['action']]} [{channel}](#{channel.lower()})",
                operation.get("summary", ""),
                f"“{arrow}”" if arrow else "not drawn",
            )
        )
    parts.append(table(("Operation", "", "When", "Arrow"), rows))
    for name, channel in channels.items():
        parts += _channel(name, channel, path, known)
    return Page(path, title, "\n\n".join(part for part in parts if part), (f"openapi/{file}",))


def _channel(name: str, channel: Mapping[str, Any], page: str, known: frozenset[str]) -> Iterator[str]:
    binding = channel["bindings"]["amqp"]
    exchange, queue = binding["exchange"], binding["x-queue"]
    yield f"## {name} {{: #{name.lower()} }}"
    yield f"{channel.get('title', '')}."
    yield channel.get("description", "")
    for key, word in (("x-assumed", "Assumed"), ("x-source", "Rests on")):
        if key in channel:
            yield f"{word}: {told(channel[key], page, known)}."
    facts = [
        ("Exchange", f"`{exchange['name']}`, {exchange['type']}, {'durable' if exchange['durable'] else 'transient'}"),
        ("Routing key", f"`{channel['address']}`"),
        ("Queue", f"`{queue['name']}`, {'durable' if queue['durable'] else 'transient'}"),
        *((f"`{key}`", f"`{value}`") for key, value in queue.get("arguments", {}).items()),
    ]
    yield table(("In the broker", ""), facts)
    for message in channel["messages"].values():
        yield f"### {name}: {message.get('title', 'message')}"
        yield message.get("summary", "")
        yield message.get("description", "")
        payload = message["payload"].get("schema", message["payload"])
        yield payload.get("description", "")
        yield fields_table(payload)
        for example in message.get("examples", ()):
            yield f"{example.get('summary', 'For example')}:"
            yield fence("json", json.dumps(example["payload"], indent=2, ensure_ascii=False, default=str))
