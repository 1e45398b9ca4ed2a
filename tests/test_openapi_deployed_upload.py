"""The deployed upload service's contract holds together, says where it is from, and copies nothing."""

import posixpath
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import jsonschema_rs
import pytest
from openapi_spec_validator import validate

from phrasim.documents import openapi_folder, secret_fields, specification
from phrasim.documents.store import Store

pytestmark = pytest.mark.unmeasured

FILE = "deployed/upload.yaml"
METHODS = ("get", "post")
HYDRA, JSON, PROBLEM = "application/ld+json", "application/json", "application/problem+json"

ROW = re.compile(r"§\d(\.\d+)?|H\d+|A\d+")
SECTIONS = {"§1.5", *(f"§2.{number}" for number in range(1, 11)), *(f"§4.{number}" for number in range(1, 7)), "§5"}
HAZARDS = {f"H{number}" for number in range(1, 35)} - {"H30"}
RULINGS = {f"A{number}" for number in range(1, 36)}

# Who the facts let in at each operation; an operation without schemes takes anybody.
SECURITY = {
    "uploadAsset": ["Bearer"],
    "getAsset": ["AssetToken", "Bearer"],
    "acknowledgeAsset": ["AssetToken", "Bearer"],
    "downloadFile": [],
    "commitAssets": ["Bearer"],
    "listCommits": ["Bearer"],
    "getCommit": ["AssetToken", "Bearer"],
    "acknowledgeCommit": ["AssetToken", "Bearer"],
    "issueClientToken": [],
    "getMe": ["Bearer"],
    "listTargets": ["Bearer"],
    "getHealth": [],
}
# What is relayed or comes from elsewhere, so that neither Hydra nor problems are to be expected of it.
FOREIGN = {"downloadFile", "issueClientToken", "getHealth"}
PLAIN_ONLY = {"acknowledgeAsset", "commitAssets", "acknowledgeCommit", "getMe"}

REFUSALS = [
    ("uploadAsset", 400, '"file" is required'),
    ("uploadAsset", 400, "Invalid uploaded file"),
    ("uploadAsset", 400, "Empty file"),
    ("uploadAsset", 400, '"targetId" or "targetSlug" is required'),
    ("uploadAsset", 400, 'Target "press" does not exist'),
    ("commitAssets", 400, 'Form errors: {"title":["This value should not be blank."]}'),
    ("commitAssets", 400, "Number of files exceeded (3 > 2)"),
    ("commitAssets", 400, "Max commit size exceeded (303343 > 300000)"),
    ("commitAssets", 400, 'Target "press" does not exist'),
    ("acknowledgeCommit", 404, "Commit not found"),
]
ASSET = {
    "id": "4c097077-a26b-4af4-9a5d-b13fd4c77b3d",
    "size": 1,
    "formData": None,
    "originalName": "test.png",
    "mimeType": "image/png",
    "createdAt": "2019-05-15T14:13:54+00:00",
    "url": "https://files.example/a?b=c",
    "acknowledged": False,
}
COMMIT = {
    "id": "8f6a1c52-3c0e-4f0b-9d0a-5b1a7c9d2e41",
    "userId": "d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856",
    "token": "f87a1c3e5b7d9f0214365870a9cbed0f214700b7cd",
    "formData": {},
    "totalSize": 0,
    "acknowledged": True,
    "createdAt": "2019-05-15T14:14:02+00:00",
    "target": {"id": "6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e15"},
    "assets": [],
}
NOTIFICATION = {
    "assets": [ASSET["id"]],
    "publisher": COMMIT["userId"],
    "token": COMMIT["token"],
    "commit_id": COMMIT["id"],
    "base_url": "https://upload.example",
}
TOKEN_REQUEST = {"grant_type": "client_credentials", "client_id": "phraseanet", "client_secret": "secret"}

store = Store(openapi_folder())
document = store.document(FILE)


def walk(value: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping with the JSON pointer to it, parents first; the values of examples are left out."""
    if isinstance(value, dict):
        yield place, value
        for key, item in value.items():
            if key not in ("example", "value"):
                yield from walk(item, f"{place}/{str(key).replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, f"{place}/{index}")


def written_operations() -> dict[str, dict[str, Any]]:
    """The operations and the webhook as the document writes them, by operationId."""
    items = [*document["paths"].values(), *document["webhooks"].values()]
    written = [item[method] for item in items for method in METHODS if method in item]
    return {operation["operationId"]: operation for operation in written}


def answers(operation_id: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """The answers of an operation by status, each with the file that it stands in."""
    found = {
        status: store.resolve(FILE, answer)
        for status, answer in written_operations()[operation_id]["responses"].items()
    }
    return {status: (file, answer) for status, (file, _, answer) in found.items()}


def examples_of(file: str, mapping: dict[str, Any]) -> dict[str, Any]:
    """The values of the examples of a media type, parameter or header object, by name."""
    named = {name: store.resolve(file, example)[2]["value"] for name, example in mapping.get("examples", {}).items()}
    return named | ({"example": mapping["example"]} if "example" in mapping else {})


def schema_violations(pointer: str, value: Any) -> list[str]:
    """What the schema at `pointer` says against a value, by a validator made here and not by the package."""
    documents = [(f"file:///openapi/{name}", reached) for name, reached in store.reached_from(FILE).items()]
    validator = jsonschema_rs.Draft202012Validator(
        {"$ref": f"file:///openapi/{FILE}#{quote(pointer)}"},
        validate_formats=True,
        registry=jsonschema_rs.Registry(documents),
    )
    return [error.message for error in validator.iter_errors(value)]


def structure(file: str, schema: Any) -> Any:
    """A schema without what is only said to people, and with its references made absolute."""
    if isinstance(schema, list):
        return [structure(file, item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    shape = {}
    for key, item in schema.items():
        if key == "$ref":
            target, _, pointer = item.partition("#")
            name = posixpath.normpath(posixpath.join(posixpath.dirname(file), target)) if target else file
            shape[key] = f"{name}#{pointer}"
        elif key in ("properties", "patternProperties"):
            shape[key] = {name: structure(file, part) for name, part in item.items()}
        elif key not in ("description", "summary", "examples", "default") and not key.startswith("x-"):
            shape[key] = structure(file, item)
    return shape


def comparable_schemas(file: str) -> Iterator[tuple[str, Any]]:
    """The schemas of which a second one would be a copy, with their places.

    Two ids of different things are both a UUID, and two fields may both be a text that is not empty: neither is a
    copy of the other. A schema counts that has parts or a rule of its own, or has a name and more than type and format.
    """
    parts_or_rules = {"properties", "items", "pattern", "const", "enum", "required", "allOf", "anyOf"}
    for place, mapping in walk(store.document(file)):
        inside = "/schema/" in place or "/schemas/" in place or place.endswith("/schema")
        if inside and not re.search(r"/(properties|patternProperties)$", place):
            shape = structure(file, mapping)
            named = re.fullmatch(r"/components/schemas/\w+", place) is not None
            if shape.keys() & parts_or_rules or (named and shape.keys() - {"type", "format"}):
                yield place, shape


def test_the_document_is_valid_openapi_3_1() -> None:
    assert document["openapi"].startswith("3.1.")
    validate(document, base_uri=(openapi_folder() / FILE).as_uri())


def test_every_reference_leads_somewhere() -> None:
    targets = [mapping["$ref"] for _, mapping in walk(document) if isinstance(mapping.get("$ref"), str)]
    assert targets
    for target in targets:
        assert store.resolve(FILE, {"$ref": target})[2] is not None


def test_every_security_scheme_that_is_asked_for_is_there() -> None:
    asked = {name for written in written_operations().values() for choice in written["security"] for name in choice}
    assert asked == document["components"]["securitySchemes"].keys()


def test_no_component_is_unused() -> None:
    used = {mapping["$ref"] for _, mapping in walk(document) if isinstance(mapping.get("$ref"), str)}
    for kind, parts in document["components"].items():
        if kind != "securitySchemes":
            for name in parts:
                assert f"#/components/{kind}/{name}" in used, f"{kind}/{name}"


def test_every_example_fits_its_schema() -> None:
    checked = 0
    for place, mapping in walk(document):
        given: list[tuple[str, Any]] = []
        if "schema" in mapping:
            given = [(f"{place}/schema", value) for value in examples_of(FILE, mapping).values()]
        elif isinstance(mapping.get("examples"), list):
            given = [(place, value) for value in mapping["examples"]]
        for pointer, value in given:
            assert schema_violations(pointer, value) == [], f"{place}: {value!r}"
            checked += 1
    assert checked > 60


@pytest.mark.parametrize("operation_id", [*SECURITY, "notifyAssets"])
def test_every_operation_and_every_answer_is_described_with_examples(operation_id: str) -> None:
    written = written_operations()[operation_id]
    assert written["summary"]
    assert written["description"]
    for content in written.get("requestBody", {}).get("content", {}).values():
        assert examples_of(FILE, content)
    for status, (file, answer) in answers(operation_id).items():
        assert answer["description"]
        assert ("content" in answer) == (operation_id != "notifyAssets"), "only what others answer has no body here"
        for media_type, content in answer.get("content", {}).items():
            if media_type == "*/*":
                assert content == {}, "bytes, or a body of which nothing is known"
            else:
                assert "schema" in content, f"{status} {media_type}"
                assert examples_of(file, content), f"{status} {media_type}"


def test_every_source_is_a_row_of_the_facts() -> None:
    for place, mapping in walk(document):
        if "x-source" in mapping:
            assert mapping["x-source"], place
            for row in mapping["x-source"]:
                assert ROW.fullmatch(row), f"{place}: {row!r}"
                assert row in SECTIONS | HAZARDS | RULINGS, f"{place}: {row!r}"


@pytest.mark.parametrize("operation_id", [*SECURITY, "notifyAssets"])
def test_every_operation_and_every_answer_says_its_source(operation_id: str) -> None:
    assert "x-source" in written_operations()[operation_id]
    for status, (_, answer) in answers(operation_id).items():
        assert "x-source" in answer, status


def test_every_schema_says_its_source() -> None:
    for name, schema in document["components"]["schemas"].items():
        assert "x-source" in schema, name


def test_a_hazard_that_a_text_names_is_among_the_sources_there() -> None:
    for place, mapping in walk(document):
        if isinstance(description := mapping.get("description"), str) and place != "/info":
            named = re.findall(r"\((H\d+)", description)
            assert set(named) <= set(mapping.get("x-source", [])), place


def test_nothing_here_is_assumed() -> None:
    assert not [place for place, mapping in walk(document) if "x-assumed" in mapping]


def test_the_operations_take_whom_the_facts_let_in() -> None:
    found = specification(FILE).operations
    assert {name: list(operation.security) for name, operation in found.items()} == SECURITY
    assert {operation.participant for operation in found.values()} == {"upload"}


def test_the_access_table_has_a_row_for_each_kind_of_caller() -> None:
    rows = [line for line in document["info"]["description"].splitlines() if line.startswith("| ")][2:]
    table = {
        caller.strip(): [cell.strip() for cell in cells] for _, caller, *cells, _ in (row.split("|") for row in rows)
    }
    assert table == {
        "nobody": ["401"] * 4,
        "an invalid Bearer": ["401"] * 4,
        "user, even the owner": ["403"] * 4,
        "administrator": ["403", "200", "200", "200"],
        "AssetToken of the commit": ["403", "200", "200", "403"],
        "any other AssetToken that is not empty": ["403"] * 4,
        "client with the scope `commit:list`": ["403", "403", "403", "200"],
    }


def test_nobody_known_is_401_wherever_a_scheme_is_asked_for() -> None:
    for operation_id, schemes in SECURITY.items():
        if operation_id not in FOREIGN:
            assert ("401" in answers(operation_id)) == bool(schemes), operation_id


def test_there_is_no_download_by_asset_id() -> None:
    assert specification(FILE).match("GET", "/assets/4c097077-a26b-4af4-9a5d-b13fd4c77b3d/download") is None
    assert not [path for path in document["paths"] if "download" in path]


@pytest.mark.parametrize("operation_id", sorted(SECURITY.keys() - FOREIGN))
def test_every_answer_has_both_media_types_unless_it_is_always_plain(operation_id: str) -> None:
    for status, (_, answer) in answers(operation_id).items():
        if status.startswith("2"):
            assert list(answer["content"]) == ([JSON] if operation_id in PLAIN_ONLY else [HYDRA, JSON])
        else:
            assert list(answer["content"])[:2] == [HYDRA, PROBLEM]
            assert list(answer["content"])[2:] == ([JSON] if status == "401" else [])


@pytest.mark.parametrize("operation_id", sorted(SECURITY.keys() - FOREIGN))
def test_a_refusal_says_the_same_in_both_media_types(operation_id: str) -> None:
    for status, (file, answer) in answers(operation_id).items():
        if not status.startswith("2"):
            problems = examples_of(file, answer["content"][PROBLEM])
            hydra = examples_of(file, answer["content"][HYDRA])
            assert {problem["status"] for problem in problems.values()} == {int(status)}
            assert {name: problem["detail"] for name, problem in problems.items()} == {
                name: error["hydra:description"] for name, error in hydra.items()
            }


@pytest.mark.parametrize(("operation_id", "status", "text"), REFUSALS)
def test_the_refusals_have_the_texts_of_the_program(operation_id: str, status: int, text: str) -> None:
    file, answer = answers(operation_id)[str(status)]
    assert text in [problem["detail"] for problem in examples_of(file, answer["content"][PROBLEM]).values()]


def test_every_field_named_like_a_secret_is_marked_as_one() -> None:
    for place, mapping in walk(document):
        name = place.rpartition("/properties/")[2]
        if "/properties/" in place and "/" not in name and re.search(r"(token|secret|password)$", name):
            assert mapping.get("x-secret") is True, place


def test_what_lets_in_without_a_header_is_marked_as_a_secret() -> None:
    parameters = {parameter["name"]: parameter for parameter in document["paths"]["/files/{path}"]["parameters"]}
    assert parameters["signature"]["schema"]["x-secret"] is True
    assert document["components"]["schemas"]["SignedUrl"]["x-secret"] == "query"


def test_of_a_url_the_traces_hide_the_query_alone() -> None:
    """A field is hidden by its name in every trace: as a whole, a name such as `url` would hide what is no secret."""
    assert {"access_token", "client_secret", "password", "token", "signature", "url?"} <= secret_fields()
    assert "url" not in secret_fields()


def test_what_the_documented_contract_has_is_referred_to_and_not_copied() -> None:
    theirs = {file: list(comparable_schemas(file)) for file in ("upload.yaml", "shared.yaml")}
    assert all(theirs.values())
    for place, shape in comparable_schemas(FILE):
        for file, schemas in theirs.items():
            for other, known in schemas:
                assert shape != known, f"{place} is {file}#{other} once more"


def test_a_copy_of_a_documented_schema_would_be_found() -> None:
    copied = structure("upload.yaml", store.document("upload.yaml")["components"]["schemas"]["Asset"])
    assert copied in [shape for _, shape in comparable_schemas("upload.yaml")]
    assert structure(FILE, {"$ref": "../shared.yaml#/x"}) == structure("upload.yaml", {"$ref": "./shared.yaml#/x"})


@pytest.mark.parametrize(
    ("name", "valid", "change"),
    [
        ("Asset", ASSET, {"token": COMMIT["token"]}),
        ("Asset", ASSET, {"path": "4c/09/4c097077.png"}),
        ("Asset", ASSET, {"url": "/files/4c097077.png"}),
        ("Asset", ASSET, {"url": None}),
        ("Asset", ASSET, {"size": 0}),
        ("Commit", COMMIT, {"token": "f87"}),
        ("Commit", COMMIT, {"assets": [ASSET["id"]]}),
        ("Commit", COMMIT, {"assets": [{"@id": f"/assets/{ASSET['id']}"}]}),
        ("Commit", COMMIT, {"target": "/targets/6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e15"}),
        ("CommitRequest", {"files": [], "targetSlug": "press"}, {"target": "6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e15"}),
        ("CommitRequest", {"files": [], "targetSlug": "press"}, {"formData": []}),
        ("Notification", NOTIFICATION, {"assets": []}),
        ("Notification", NOTIFICATION, {"hashes": {}}),
        ("ClientTokenRequest", TOKEN_REQUEST, {"grant_type": "password", "username": "a", "password": "b"}),
        (
            "ExceptionProblem",
            {"type": "about:blank", "title": "An error occurred", "status": 400, "detail": "x"},
            {"title": "Bad Request"},
        ),
    ],
)
def test_what_the_program_does_not_say_or_take_is_refused(name: str, valid: dict[str, Any], change: Any) -> None:
    pointer = f"/components/schemas/{name}"
    assert schema_violations(pointer, valid) == []
    assert schema_violations(pointer, valid | change) != []


@pytest.mark.parametrize("field", NOTIFICATION)
def test_a_notification_always_has_its_five_fields(field: str) -> None:
    pointer = "/components/schemas/Notification"
    assert schema_violations(pointer, {key: value for key, value in NOTIFICATION.items() if key != field}) != []


@pytest.mark.parametrize("name", ["Upload", "CommitRequest"])
def test_a_request_names_its_target_in_one_way_or_another(name: str) -> None:
    assert schema_violations(f"/components/schemas/{name}", {"file": "test.png", "files": []}) != []
    for_slug = {"file": "test.png", "files": [], "targetSlug": "press"}
    assert schema_violations(f"/components/schemas/{name}", for_slug) == []


@pytest.mark.parametrize("embedded", [False, True])
def test_the_assets_of_a_commit_may_be_iris_or_objects(embedded: bool) -> None:
    iri = f"/assets/{ASSET['id']}"
    assets = [{"@id": iri, "id": ASSET["id"]}] if embedded else [iri]
    assert schema_violations("/components/schemas/Commit", COMMIT | {"assets": assets}) == []
    mixed = [{"@id": iri, "id": ASSET["id"]}, iri]
    assert schema_violations("/components/schemas/Commit", COMMIT | {"assets": mixed}) != []


def test_a_page_of_commits_holds_thirty_at_most() -> None:
    page = {"@context": "/contexts/commit", "@id": "/commits", "@type": "hydra:Collection", "hydra:totalItems": 31}
    item = COMMIT | {"@id": "/commits/8f6a1c52-3c0e-4f0b-9d0a-5b1a7c9d2e41", "@type": "commit"}
    pointer = "/components/schemas/CommitCollection"
    assert schema_violations(pointer, page | {"hydra:member": [item] * 30}) == []
    assert schema_violations(pointer, page | {"hydra:member": [item] * 31}) != []
    assert schema_violations(pointer, page | {"hydra:member": [COMMIT]}) != []


def test_the_token_endpoint_relays_what_the_identity_provider_answers() -> None:
    """As plain JSON; what cannot be forwarded the service refuses itself, in its own forms (§2.10)."""
    provider = store.document("deployed/auth.yaml")["components"]["responses"].values()
    for status, (_, answer) in answers("issueClientToken").items():
        schema = answer["content"]["application/json"]["schema"]
        assert answer in provider or (status == "400" and schema["$ref"].endswith("/TokenRefusal"))


def test_no_operation_has_the_name_of_one_of_another_service() -> None:
    for other in ("deployed/phraseanet.yaml", "deployed/auth.yaml"):
        assert specification(FILE).operations.keys().isdisjoint(specification(other).operations)
