"""The documents of openapi/ hold together: they are valid, their examples are, and nothing in them dangles."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema_rs
import pytest
from openapi_spec_validator import validate

from phrasim.documents import Arrow, contract, openapi_folder, specification
from phrasim.documents.store import Store

pytestmark = pytest.mark.unmeasured

SPECIFICATION_FILES = ("upload.yaml", "phraseanet.yaml", "auth.yaml")
OPENAPI_FILES = (*SPECIFICATION_FILES, "control.yaml", "shared.yaml")
FILES = (*OPENAPI_FILES, "messages.yaml")

# The arrows of the two diagrams, as the request-flow document labels them, without asset numbers and parentheses.
PUSH_ARROWS = [
    "Upload asset",
    "Upload asset",
    "Commit",
    "Notify there is a new asset",
    "Produce message",
    "Consume message",
    "Get publisher info",
    "Download asset",
    "Get contents",
    "Download asset",
    "Get contents",
    "Acknowledge of upload commit",
]
PULL_ARROWS = [*PUSH_ARROWS[:3], "fetch new commit assets", *PUSH_ARROWS[4:]]
RULINGS = {f"A{number}" for number in range(1, 36)}

store = Store(openapi_folder())


def walk(value: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping of a document with the JSON pointer to it, parents first; examples' own values are left out."""
    if isinstance(value, dict):
        yield place, value
        for key, item in value.items():
            if key not in ("example", "value"):
                yield from walk(item, f"{place}/{str(key).replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, f"{place}/{index}")


def references(file: str) -> list[tuple[str, str]]:
    return [
        (place, mapping["$ref"])
        for place, mapping in walk(store.document(file))
        if isinstance(mapping.get("$ref"), str)
    ]


def schema_violations(file: str, pointer: str, value: Any) -> list[str]:
    """What the schema at `pointer` says against a value, by a validator made here and not by the package."""
    documents = {f"file:///openapi/{name}": store.document(name) for name in FILES}
    scenarios = {"file:///scenarios/scenario.schema.json": store.document("../scenarios/scenario.schema.json")}
    registry = jsonschema_rs.Registry([*documents.items(), *scenarios.items()])
    schema = {"$ref": f"file:///openapi/{file}#{quote(pointer)}"}
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True, registry=registry)
    return [error.message for error in validator.iter_errors(value)]


def examples_of(file: str, mapping: dict[str, Any]) -> list[Any]:
    """The examples of a media type, parameter or header object."""
    named = [store.resolve(file, example)[2] for example in mapping.get("examples", {}).values()]
    return [example["value"] for example in named] + ([mapping["example"]] if "example" in mapping else [])


@pytest.mark.parametrize("file", OPENAPI_FILES)
def test_each_document_is_valid_openapi_3_1(file: str) -> None:
    assert store.document(file)["openapi"].startswith("3.1.")
    validate(store.document(file), base_uri=(openapi_folder() / file).as_uri())


@pytest.mark.parametrize("file", FILES)
def test_every_reference_leads_somewhere(file: str) -> None:
    for place, reference in references(file):
        assert store.resolve(file, {"$ref": reference})[2] is not None, f"{file}#{place}"


def test_nothing_in_shared_yaml_is_unused() -> None:
    used = {
        target.rpartition("#")[2]
        for file in FILES
        for _, target in references(file)
        if target.startswith("./shared.yaml") or file == "shared.yaml"
    }
    offered = {
        f"/components/{kind}/{name}"
        for kind, parts in store.document("shared.yaml")["components"].items()
        for name in parts
    }
    assert offered == used


@pytest.mark.parametrize("file", FILES)
def test_every_example_fits_its_schema(file: str) -> None:
    checked = 0
    for place, mapping in walk(store.document(file)):
        if "schema" in mapping:
            given = [(f"{place}/schema", value) for value in examples_of(file, mapping)]
        elif isinstance(mapping.get("examples"), list) and "payload" not in mapping:
            given = [(place, value) for value in mapping["examples"]]
        elif "payload" in mapping and isinstance(mapping.get("examples"), list):
            payload = store.resolve(file, mapping["payload"])[1]
            given = [(f"{payload}/schema", example["payload"]) for example in mapping["examples"]]
        else:
            given = []
        for pointer, value in given:
            assert schema_violations(file, pointer, value) == [], f"{file}#{place}: {value!r}"
            checked += 1
    assert checked > 0


@pytest.mark.parametrize("file", FILES)
def test_every_assumption_names_a_ruling(file: str) -> None:
    for place, mapping in walk(store.document(file)):
        if "x-assumed" in mapping:
            assert mapping["x-assumed"], f"{file}#{place}"
            assert set(mapping["x-assumed"]) <= RULINGS, f"{file}#{place}"


@pytest.mark.parametrize("file", FILES)
def test_what_a_description_calls_assumed_is_marked_so(file: str) -> None:
    """A reader of the text and a reader of the marks learn the same."""
    for place, mapping in walk(store.document(file)):
        if isinstance(mapping.get("description"), str) and "*Assumed:*" in mapping["description"]:
            assert "x-assumed" in mapping, f"{file}#{place}"


@pytest.mark.parametrize("operation_id", list(contract("documented").operations))
def test_every_operation_is_described_with_examples_and_refusals(operation_id: str) -> None:
    operation = contract("documented").operations[operation_id]
    document = specification(f"{operation.participant}.yaml").document
    written = document["paths"][operation.path][operation.method.lower()]
    file = f"{operation.participant}.yaml"
    assert written["summary"]
    assert "*Documented:*" in written["description"]
    bodies = [store.resolve(file, written["requestBody"])[2]] if "requestBody" in written else []
    for status, answer in written["responses"].items():
        found_in, _, response = store.resolve(file, answer)
        assert response["description"]
        if status.startswith("2") and list(response["content"]) == ["*/*"]:
            assert response["content"]["*/*"] == {}
            continue
        for media_type, content in response["content"].items():
            assert examples_of(found_in, content), f"{operation_id} {status} {media_type}"
            assert "schema" in content
    for body in bodies:
        for content in body["content"].values():
            assert examples_of(file, content), operation_id
    assert any(400 <= status < 500 for status in operation.answers)


@pytest.mark.parametrize("operation_id", list(specification("control.yaml").operations))
def test_every_operation_of_the_control_api_is_described_with_examples(operation_id: str) -> None:
    operation = specification("control.yaml").operations[operation_id]
    written = store.document("control.yaml")["paths"][operation.path][operation.method.lower()]
    assert written["summary"]
    assert written["description"]
    if "requestBody" in written:
        assert examples_of("control.yaml", written["requestBody"]["content"]["application/json"])
        assert {400, 413, 415} <= operation.answers.keys()
    for status, answer in written["responses"].items():
        found_in, _, response = store.resolve("control.yaml", answer)
        assert response["description"]
        assert (status == "204") == ("content" not in response)
        for media_type, content in response.get("content", {}).items():
            assert examples_of(found_in, content), f"{operation_id} {status}"
            assert (media_type == "application/problem+json") == (int(status) >= 400)
            for example in examples_of(found_in, content) if int(status) >= 400 else ():
                assert str(example["status"]) == status


def test_the_control_api_is_no_part_of_the_protocol() -> None:
    """Scenarios name operations of the participants; what phrasim itself offers is none, and assumes nothing."""
    control = specification("control.yaml")
    assert control.participant == "control"
    assert control.operations.keys().isdisjoint(contract("documented").operations)
    assert all(operation.path.startswith("/_phrasim/") for operation in control.operations.values())
    assert not [place for place, mapping in walk(control.document) if "x-assumed" in mapping]


@pytest.mark.parametrize("operation_id", list(contract("documented").operations))
def test_refusals_are_problems_except_at_the_token_endpoint(operation_id: str) -> None:
    operation = contract("documented").operations[operation_id]
    for status, media_types in operation.responses.items():
        if status >= 400:
            oauth = (operation_id, status) == ("issueToken", 400)
            assert media_types == (("application/json",) if oauth else ("application/problem+json",))


def test_a_problem_in_an_example_says_its_own_status() -> None:
    for operation in contract("documented").operations.values():
        file = f"{operation.participant}.yaml"
        written = store.document(file)["paths"][operation.path][operation.method.lower()]
        for status, answer in written["responses"].items():
            found_in, _, response = store.resolve(file, answer)
            for example in examples_of(found_in, response["content"].get("application/problem+json", {})):
                assert str(example["status"]) == status


def test_an_operation_with_a_401_names_the_schemes() -> None:
    for operation in contract("documented").operations.values():
        assert (401 in operation.answers) == bool(operation.security), operation.operation_id
        if operation.security:
            assert operation.answers[401].headers["www-authenticate"].required


def test_the_operation_ids_are_the_agreed_ones() -> None:
    assert {file: list(specification(file).operations) for file in SPECIFICATION_FILES} == {
        "upload.yaml": [
            "uploadAsset",
            "commitAssets",
            "listCommits",
            "getAsset",
            "downloadAsset",
            "acknowledgeCommit",
        ],
        "phraseanet.yaml": ["enqueueAssets"],
        "auth.yaml": ["issueToken", "getTokenInfo", "getPublisherInfo"],
    }


def test_the_links_lead_to_operations_and_parameters_that_exist() -> None:
    document = specification("upload.yaml").document
    linked: dict[str, set[str]] = {}
    for path in document["paths"].values():
        for operation in (item for name, item in path.items() if name in ("get", "post")):
            for response in operation["responses"].values():
                for link in response.get("links", {}).values():
                    target = contract("documented").operations[link["operationId"]]
                    names = {parameter.name for parameter in target.parameters}
                    assert set(link.get("parameters", {})) == names
                    linked.setdefault(operation["operationId"], set()).add(target.operation_id)
    assert linked == {
        "uploadAsset": {"commitAssets"},
        "listCommits": {"getAsset", "downloadAsset", "acknowledgeCommit"},
    }


def test_the_notification_is_the_request_that_phraseanet_takes() -> None:
    webhook = store.document("upload.yaml")["webhooks"]["notifyAssets"]["post"]
    enqueue = store.document("phraseanet.yaml")["paths"]["/api/v1/upload/enqueue"]["post"]
    assert (
        store.resolve("upload.yaml", webhook["requestBody"])[2]
        is store.resolve("phraseanet.yaml", enqueue["requestBody"])[2]
    )


def test_the_notification_can_be_answered_with_all_that_phraseanet_answers() -> None:
    webhook = store.document("upload.yaml")["webhooks"]["notifyAssets"]["post"]["responses"]
    enqueue = store.document("phraseanet.yaml")["paths"]["/api/v1/upload/enqueue"]["post"]["responses"]
    assert list(webhook) == list(enqueue)
    for status, answer in webhook.items():
        assert store.resolve("upload.yaml", answer)[2] is store.resolve("phraseanet.yaml", enqueue[status])[2], status


def bound_arrows() -> list[Arrow]:
    documented = contract("documented")
    arrows = [operation.sequence for operation in documented.operations.values()]
    arrows += [arrow for operation in documented.operations.values() for arrow in operation.response_sequences.values()]
    arrows += [operation.sequence for operation in documented.messages.operations.values()]
    return [arrow for arrow in arrows if arrow]


def test_the_arrows_of_the_diagrams_are_bound_and_no_others() -> None:
    labels = [arrow.label for arrow in bound_arrows()]
    assert sorted(labels) == sorted({*PUSH_ARROWS, *PULL_ARROWS})


def test_the_arrows_drawn_twice_are_those_drawn_for_each_asset() -> None:
    for_each_asset = {arrow.label for arrow in bound_arrows() if arrow.each == "asset"}
    assert for_each_asset == {label for label in PUSH_ARROWS if PUSH_ARROWS.count(label) == 2}
    assert {arrow.each for arrow in bound_arrows()} == {"asset", "commit"}


def test_every_field_named_like_a_secret_is_marked_as_one() -> None:
    secret = re.compile(r"^(?!expires).*(token|secret|password)$")
    for file in FILES:
        for place, mapping in walk(store.document(file)):
            name = place.rpartition("/properties/")[2]
            if "/properties/" in place and "/" not in name and secret.match(name):
                assert mapping.get("x-secret") is True, f"{file}#{place}"


def test_no_example_bears_a_token_of_another_shape_than_the_document_shows() -> None:
    """The seed's token begins with f87 and ends with 700b7cd; a made-up one keeps to that."""
    for file in ("upload.yaml", "phraseanet.yaml", "messages.yaml"):
        text = (openapi_folder() / file).read_text(encoding="utf-8")
        for token in re.findall(r"\btoken: (f87\S+)", text):
            assert re.fullmatch(r"f87(\.\.\.|[0-9a-f]{32})700b7cd", token)


def asyncapi_schema() -> dict[str, Any]:
    installed = Path(__file__).parents[1] / "build/node_modules/@asyncapi/specs"
    path = Path(os.environ.get("PHRASIM_ASYNCAPI_SPECS", installed)) / "schemas" / "3.0.0.json"
    if not path.is_file():
        reason = f"{path} is missing; `npm install` @asyncapi/specs, or set PHRASIM_ASYNCAPI_SPECS to its folder"
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def test_the_messages_are_valid_asyncapi_3() -> None:
    validator = jsonschema_rs.Draft7Validator(asyncapi_schema())
    document = json.loads(json.dumps(store.document("messages.yaml")))
    assert [(list(error.instance_path), error.message) for error in validator.iter_errors(document)] == []
    document["channels"]["assetsIngest"]["bindings"]["amqp"]["is"] = "exchange"
    assert not validator.is_valid(document), "the binding is not looked at"
