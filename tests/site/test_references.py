"""The references: everything that openapi/ and the command state is on a page."""

from typing import Any

import pytest
from typer.core import TyperGroup

from phrasim.documents import contract
from phrasim.documents.contract import CONTRACTS
from phrasim.documents.store import Store, installed_store
from phrasim.site.api_pages import specification_script
from phrasim.site.contents import Contents
from phrasim.site.decisions import told
from phrasim.site.fields import fields_table, type_of
from phrasim.site.whole import whole

FILES = [(profile, service, file) for profile, files in CONTRACTS.items() for service, file in files.items()]


def text_of(few: Contents, path: str) -> str:
    return next(page.text for page in few.pages if page.path == path)


@pytest.mark.parametrize(("profile", "service", "file"), [one for one in FILES if one[1] != "messages"])
def test_every_operation_has_its_answers_on_the_page_of_its_service(
    few: Contents, profile: str, service: str, file: str
) -> None:
    text = text_of(few, f"openapi/{file.removesuffix('.yaml')}.md")
    for operation in contract(profile).specification(service).operations.values():
        _, found, rest = text.partition(f"## {operation.operation_id} {{")
        section = rest.partition("\n## ")[0]
        assert found, operation.operation_id
        assert f"{operation.method.upper()} " in section
        assert [status for status in operation.answers if f"| **{status}** |" not in section] == []


@pytest.mark.parametrize("profile", CONTRACTS)
def test_every_channel_and_its_messages_are_on_the_page_of_the_messages(few: Contents, profile: str) -> None:
    text = text_of(few, f"openapi/{CONTRACTS[profile]['messages'].removesuffix('.yaml')}.md")
    messages = contract(profile).messages
    for channel in messages.channels.values():
        assert f"## {channel.name} {{" in text
        assert f"`{channel.exchange}`, {channel.exchange_type}" in text
    assert [name for name in messages.operations if f"`{name}`" not in text] == []


def test_every_verb_and_option_is_in_the_reference_of_the_command(few: Contents, root: TyperGroup) -> None:
    text = text_of(few, "commands.md")
    for name, verb in root.commands.items():
        section = text.partition(f"## phrasim {name} {{")[2].partition("\n## ")[0]
        options = [option for parameter in verb.params for option in parameter.opts if option.startswith("--")]
        assert [option for option in options if f"`{option}" not in section and f" {option}" not in section] == []
        assert f"phrasim {name}" in section
        assert "\x08" not in section


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for item in value for found in references(item)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for item in value.values() for found in references(item)]


@pytest.mark.parametrize("file", [*(file for _, _, file in FILES), "control.yaml"])
def test_a_whole_document_has_no_reference_left(file: str) -> None:
    assert references(installed_store().document(file)) != [] or file.endswith("auth.yaml")
    assert references(whole(installed_store(), file)) == []


class Written(Store):
    """Documents that a test has written."""

    def __init__(self, **documents: Any) -> None:
        self._documents = {f"{name}.yaml": document for name, document in documents.items()}


def test_what_stands_beside_a_reference_counts_more_than_where_it_leads() -> None:
    store = Written(
        a={"field": {"$ref": "./b.yaml#/schemas/Id", "description": "Mine."}},
        b={"schemas": {"Id": {"type": "string", "description": "Theirs."}}},
    )
    assert whole(store, "a.yaml") == {"field": {"title": "Id", "type": "string", "description": "Mine."}}


def test_a_schema_that_leads_back_into_itself_ends_there() -> None:
    store = Written(a={"schemas": {"Tree": {"items": {"$ref": "#/schemas/Tree"}, "type": "array"}}})
    tree = whole(store, "a.yaml")["schemas"]["Tree"]
    assert tree["items"]["items"] == {"title": "Tree", "description": "As further up."}


def test_a_script_shows_the_document_and_can_hold_any_text() -> None:
    script = specification_script(Written(a={"info": {"title": "</script> “quoted”"}}), "a.yaml")
    assert script == 'phrasimShow({"info":{"title":"</script> “quoted”"}});\n'


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "format": "uuid"}, "string, uuid"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"const": True}, "`true`"),
        ({"enum": ["a", 1]}, '`"a"`, `1`'),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}, {"type": "string"}]}, "string or integer"),
        ({"type": "object", "anyOf": [{"required": ["a"]}]}, "object"),
        ({"properties": {"a": True}}, "object"),
        ({}, "anything"),
        (True, "anything"),
        (False, "nothing"),
    ],
)
def test_a_type_is_told_in_a_few_words(schema: Any, words: str) -> None:
    assert type_of(schema) == words


def test_fields_are_listed_with_those_inside_them() -> None:
    schema = {
        "allOf": [{"properties": {"id": {"type": "string"}}, "required": ["id"]}],
        "properties": {
            "of": {"type": "array", "items": {"type": "object", "properties": {"n": {"description": "A\nnumber."}}}},
            "any": True,
        },
        "prefixItems": [{"type": "object", "properties": {"first": {"type": "boolean"}}}],
    }
    assert fields_table(schema).splitlines()[2:] == [
        "| `id` | string | required |  |",
        "| `of` | array |  |  |",
        "| `of[…]` | object |  |  |",
        "| `of[…].n` | anything |  | A number. |",
        "| `any` | anything |  |  |",
        "| `[0]` | object |  |  |",
        "| `[0].first` | boolean |  |  |",
    ]


def test_fields_are_listed_down_to_a_depth() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(20):
        schema = {"type": "object", "properties": {"a": schema}}
    assert len(fields_table(schema).splitlines()) == 2 + 7


def test_findings_are_linked_to_where_they_are_told() -> None:
    words = told(["A3", "H2", "§4.1", "A99"], "openapi/auth.md", frozenset({"A3", "H2"}))
    assert words == "[A3](../docs/findings.md#a3), [H2](../docs/findings.md#h2), §4.1, A99"
