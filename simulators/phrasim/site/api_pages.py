"""A page for each OpenAPI document: its operations in words, and all of it to unfold in Swagger UI."""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from phrasim.documents.store import Document, Store
from phrasim.site.decisions import told
from phrasim.site.fields import fields_table, type_of
from phrasim.site.page import Page, fence, table
from phrasim.site.whole import whole

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_BUNDLE = "assets/swagger-ui/swagger-ui-bundle.js"
_STYLE = "assets/swagger-ui/swagger-ui.css"

SWAGGER_FILES = (_BUNDLE, _STYLE)
"""What an API page needs of Swagger UI, by path from the folder of all pages."""


def api_path(file: str) -> str:
    """Where the page of a document of openapi/ is."""
    return f"openapi/{PurePosixPath(file).with_suffix('.md')}"


def specification_path(file: str) -> str:
    """Where the document lies beside its page, as the script that shows it."""
    return f"openapi/{PurePosixPath(file).with_suffix('.js')}"


def specification_script(store: Store, file: str) -> str:
    """A script that has Swagger UI show the document.

    A page that is opened from a folder may read no other file, but may load scripts. Nothing can be tried out from
    here: there is no server.
    """
    spec = json.dumps(whole(store, file), ensure_ascii=False, separators=(",", ":"), default=str)
    return f"phrasimShow({spec});\n"


def api_page(store: Store, file: str, title: str, known: frozenset[str]) -> Page:
    """The page of a document of openapi/; `known` are the findings that can be linked to."""
    path = api_path(file)
    document = whole(store, file)
    info = document["info"]
    operations = list(_operations(document))
    parts = [
        info.get("summary", ""),
        info.get("description", ""),
        table(
            ("Operation", "Request", "What it does"),
            [
                (f"[{one['operationId']}](#{one['operationId'].lower()})", f"`{line}`", one.get("summary", ""))
                for line, one in operations
            ],
        ),
        *(part for line, one in operations for part in _operation(line, one, path, known)),
        "## In Swagger UI",
        "Every schema, example and answer, to unfold. Nothing can be sent from here.",
        _swagger(path, file),
    ]
    return Page(path, title, "\n\n".join(part for part in parts if part), (f"openapi/{file}",))


def _operations(document: Document) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each operation and webhook, with its request line."""
    for path, item in document.get("paths", {}).items():
        for method in item:
            if method in _METHODS:
                yield f"{method.upper()} {path}", _with_parameters(item, item[method])
    for item in document.get("webhooks", {}).values():
        for method in item:
            if method in _METHODS:
                yield f"{method.upper()} to the receiver", _with_parameters(item, item[method])


def _with_parameters(item: Mapping[str, Any], operation: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**operation, "parameters": [*item.get("parameters", ()), *operation.get("parameters", ())]}


def _operation(line: str, operation: Mapping[str, Any], page: str, known: frozenset[str]) -> Iterator[str]:
    name = operation["operationId"]
    yield f"## {name} {{: #{name.lower()} }}"
    yield fence("http", line)
    yield operation.get("summary", "")
    yield operation.get("description", "")
    arrow = operation.get("x-sequence")
    facts = [f"Asked by: {operation['x-caller']}."] if "x-caller" in operation else []
    if isinstance(arrow, dict) and "label" in arrow:
        facts.append(f"Drawn as “{arrow['label']}”.")
    if "security" in operation:
        schemes = [" and ".join(one) or "nothing" for one in operation["security"]] or ["nothing"]
        facts.append(f"What to present: {' or '.join(dict.fromkeys(schemes))}.")
    yield " ".join(facts)
    for key, word in (("x-assumed", "Assumed"), ("x-source", "Rests on")):
        if key in operation:
            yield f"{word}: {told(operation[key], page, known)}."
    yield table(
        ("Parameter", "In", "Type", "", "What it is"),
        [
            (
                f"`{one['name']}`",
                one["in"],
                type_of(one.get("schema", {})),
                "required" if one.get("required") else "",
                one.get("description", ""),
            )
            for one in operation["parameters"]
        ],
    )
    if "requestBody" in operation:
        yield f"### The body of {name}"
        yield from _contents(operation["requestBody"].get("content", {}))
    yield f"### The answers of {name}"
    yield table(("Status", "When", "Body"), [_answer(*one) for one in operation["responses"].items()])


def _contents(content: Mapping[str, Any]) -> Iterator[str]:
    """The media types of a body, each with its fields and its examples."""
    for media_type, one in content.items():
        yield f"`{media_type}`:"
        yield fields_table(one.get("schema", {}))
        for example in one.get("examples", {}).values():
            if "value" in example:
                yield f"{example.get('summary', 'For example')}:"
                yield fence("json", json.dumps(example["value"], indent=2, ensure_ascii=False, default=str))


def _answer(status: str, answer: Mapping[str, Any]) -> tuple[str, str, str]:
    bodies = ", ".join(f"`{media_type}`" for media_type in answer.get("content", {})) or "none"
    return f"**{status}**", answer.get("description", ""), bodies


def _swagger(page: str, file: str) -> str:
    """What shows the document: scripts in their order, since the last needs those before it."""
    up = "../" * page.count("/")
    name = PurePosixPath(specification_path(file)).name
    return "\n".join(
        [
            f'<link rel="stylesheet" href="{up}{_STYLE}">',
            '<div id="swagger-ui" class="swagger-frame"><noscript>Swagger UI needs JavaScript.</noscript></div>',
            f'<script src="{up}{_BUNDLE}"></script>',
            f'<script src="{up}assets/show-specification.js"></script>',
            f'<script src="{name}"></script>',
        ]
    )
