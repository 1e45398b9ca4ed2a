"""A specification answers which operation a request is, and what is wrong with a message."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.documents import (
    Arrow,
    Operation,
    Specification,
    Violation,
    contract,
    documents_root,
    flow_document,
    openapi_folder,
    scenarios_folder,
    secret_fields,
    specification,
)
from phrasim.documents.locations import find_root
from phrasim.documents.store import Store
from phrasim.documents.violations import Schemas

ASSET = "4c097077-a26b-4af4-9a5d-b13fd4c77b3d"
PUBLISHER = "d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856"


def said(violations: list[Violation]) -> list[str]:
    return [str(violation) for violation in violations]


def small_specification(folder: Path, *paths: str) -> Specification:
    """A specification whose paths, in this order, have one GET each, named as the path."""
    written = "\n".join(
        f"  '{path}': {{get: {{operationId: '{path}', security: [], responses: {{}}}}}}" for path in paths
    )
    text = f"openapi: 3.1.0\ninfo: {{title: Small, version: '1', x-participant: upload}}\npaths:\n{written}\n"
    (folder / "small.yaml").write_text(text, encoding="utf-8")
    store = Store(folder)
    return Specification(store, Schemas(store), "small.yaml")


OPERATIONS = contract("documented").operations

segments = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.sampled_from(list(OPERATIONS.values())), st.data())
def test_a_path_made_from_an_operation_matches_it_with_the_same_parameters(
    operation: Operation, data: st.DataObject
) -> None:
    names = [parameter.name for parameter in operation.parameters if parameter.location == "path"]
    parameters = {name: data.draw(segments, label=name) for name in names}
    path = operation.path
    for name, value in parameters.items():
        path = path.replace(f"{{{name}}}", value)
    found = specification(f"{operation.participant}.yaml").match(operation.method, path)
    assert found == (operation, parameters)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/assets"),
        ("get", "/commits"),
        ("GET", "/commits/"),
        ("POST", "/commits"),
        ("GET", "/assets/"),
        ("GET", f"/assets/{ASSET}/"),
        ("GET", "/assets//download"),
        ("GET", f"/assets/{ASSET}/download/more"),
        ("GET", f"//assets/{ASSET}"),
        ("GET", ""),
    ],
)
def test_what_is_no_operation_matches_none(method: str, path: str) -> None:
    assert specification("upload.yaml").match(method, path) is None


@pytest.mark.parametrize("turned", [False, True])
def test_a_literal_segment_wins_over_a_parameter_from_left_to_right(tmp_path: Path, *, turned: bool) -> None:
    paths = ["/{a}/x/{b}", "/a/{b}/{c}", "/{a}/{b}/{c}", "/a/x/{c}", "/a/x/y"]
    found = small_specification(tmp_path, *(reversed(paths) if turned else paths))

    def name(path: str) -> str:
        match = found.match("GET", path)
        assert match is not None
        return match[0].operation_id

    assert name("/a/x/y") == "/a/x/y"
    assert name("/a/x/z") == "/a/x/{c}"
    assert name("/a/y/z") == "/a/{b}/{c}"
    assert name("/b/x/z") == "/{a}/x/{b}"
    assert name("/b/y/z") == "/{a}/{b}/{c}"


def test_an_operation_tells_what_it_takes_and_gives() -> None:
    upload = OPERATIONS["uploadAsset"]
    assert (upload.participant, upload.method, upload.path) == ("upload", "POST", "/assets")
    assert upload.security == ("Bearer",)
    assert upload.request_media_types == ("multipart/form-data",)
    assert upload.request_required
    assert upload.responses[201] == ("application/json",)
    assert upload.sequence == Arrow("Upload asset", "asset")
    assert upload.response_sequences == {}
    download = OPERATIONS["downloadAsset"]
    assert download.security == ("AssetToken", "Bearer")
    assert download.request_media_types == ()
    assert download.sequence == Arrow("Download asset", "asset")
    assert download.response_sequences == {200: Arrow("Get contents", "asset")}
    assert OPERATIONS["getAsset"].sequence is None
    assert OPERATIONS["enqueueAssets"].security == ()
    assert not OPERATIONS["acknowledgeCommit"].request_required


def test_a_request_that_fits_has_no_violations() -> None:
    commit = OPERATIONS["commitAssets"]
    assert commit.request_violations("application/json; charset=utf-8", {"files": [ASSET], "formData": {}}) == []
    assert commit.request_violations("Application/JSON", {"files": [ASSET], "more": 1}) == []
    assert (
        contract("documented")
        .operations["uploadAsset"]
        .request_violations("multipart/form-data; boundary=x", {"file": "test.png"})
        == []
    )
    assert (
        contract("documented")
        .operations["listCommits"]
        .request_violations("text/plain", "a body that nobody asked for")
        == []
    )
    assert OPERATIONS["acknowledgeCommit"].request_violations(None, None) == []
    assert OPERATIONS["acknowledgeCommit"].request_violations("application/json", ["anything"]) == []
    token = {"grant_type": "client_credentials", "client_id": "c", "client_secret": "s"}
    assert OPERATIONS["issueToken"].request_violations("application/x-www-form-urlencoded", token) == []


@pytest.mark.parametrize(
    ("operation_id", "value", "violations"),
    [
        ("uploadAsset", {}, ["file: this field is missing"]),
        ("commitAssets", {}, ["files: this field is missing"]),
        ("commitAssets", [], ["an array is not an object"]),
        ("commitAssets", {"files": []}, ["files: the list is empty"]),
        ("commitAssets", {"files": [ASSET, "x"]}, ["files/1: 'x' is not a UUID"]),
        (
            "commitAssets",
            {"files": [7], "formData": []},
            ["files/0: 7 is not a string", "formData: an array is not an object"],
        ),
        ("commitAssets", {"files": None}, ["files: null is not an array"]),
        (
            "enqueueAssets",
            {"assets": [], "publisher": "me", "token": ""},
            ["assets: the list is empty", "publisher: 'me' is not a UUID", "token: the text is empty"],
        ),
        ("enqueueAssets", {"assets": [ASSET], "publisher": PUBLISHER}, ["token: this field is missing"]),
        (
            "enqueueAssets",
            {"assets": [ASSET], "publisher": PUBLISHER, "token": "t", "base_url": "uploader", "hashes": {"x": "A"}},
            [
                "base_url: 'uploader' does not match '^https?://[^/\\\\s]+'",
                "base_url: 'uploader' is not an absolute URI",
                "hashes: a key is wrong: 'x' is not a UUID",
                "hashes/x: 'A' does not match '^[0-9a-f]{64}$'",
            ],
        ),
        (
            "issueToken",
            {"grant_type": "implicit", "client_id": "c", "client_secret": "s"},
            ["grant_type: 'implicit' is not one of 'password', 'client_credentials'"],
        ),
        (
            "issueToken",
            {"grant_type": "password", "client_id": "c", "client_secret": "s", "username": "u"},
            ["password: this field is missing"],
        ),
    ],
)
def test_a_faulty_request_is_told_field_by_field(operation_id: str, value: Any, violations: list[str]) -> None:
    operation = OPERATIONS[operation_id]
    assert said(operation.request_violations(operation.request_media_types[0], value)) == violations


def test_a_missing_or_other_body_is_told_with_what_is_taken() -> None:
    token = OPERATIONS["issueToken"]
    assert said(token.request_violations(None, None)) == [
        "the request has no body; issueToken takes application/x-www-form-urlencoded or application/json"
    ]
    assert said(OPERATIONS["commitAssets"].request_violations("text/plain", "files")) == [
        "the media type 'text/plain' is not taken; commitAssets takes application/json"
    ]


def nested(levels: int) -> list[Any]:
    return [] if levels == 0 else [nested(levels - 1)]


@pytest.mark.parametrize("value", [{"files": ["\ud800"]}, {"files": nested(300)}, {"files": [b"x"]}])
def test_a_value_that_json_cannot_hold_is_a_fault_and_no_crash(value: Any) -> None:
    (violation,) = OPERATIONS["commitAssets"].request_violations("application/json", value)
    assert str(violation).startswith("this is not JSON that can be checked: ")


def test_a_secret_is_not_shown_in_a_violation() -> None:
    value = {"assets": [ASSET], "publisher": PUBLISHER, "token": 4711}
    violations = OPERATIONS["enqueueAssets"].request_violations("application/json", value)
    assert said(violations) == ["token: the secret value is not a string"]


def test_a_long_value_is_cut_in_a_violation() -> None:
    (violation,) = (
        contract("documented")
        .operations["commitAssets"]
        .request_violations("application/json", {"files": ["x" * 5000]})
    )
    assert str(violation) == f"files/0: '{'x' * 59}… is not a UUID"


def test_a_pointer_escapes_what_json_pointers_escape() -> None:
    value = {"assets": [ASSET], "publisher": PUBLISHER, "token": "t", "hashes": {"a/b~c": 1}}
    violations = OPERATIONS["enqueueAssets"].request_violations("application/json", value)
    assert violations[-1].pointer == "/hashes/a~1b~0c"


def test_a_faulty_path_parameter_is_named_and_an_unknown_query_parameter_is_not() -> None:
    get_asset = OPERATIONS["getAsset"]
    assert get_asset.parameter_violations({"id": ASSET}, {"page": "2"}) == []
    assert get_asset.parameter_violations({"id": "1"}) == [Violation("/path/id", "'1' is not a UUID")]
    assert get_asset.parameter_violations({}) == [Violation("/path/id", "this path parameter is missing")]


def problem(**changes: Any) -> dict[str, Any]:
    return {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "Nothing there."} | changes


def asset(**changes: Any) -> dict[str, Any]:
    return {
        "id": ASSET,
        "size": 151791,
        "formData": None,
        "originalName": "test.png",
        "mimeType": "image/png",
        "createdAt": "2019-05-15T14:13:54+00:00",
    } | changes


@pytest.mark.parametrize(
    ("operation_id", "status", "media_type", "value", "violations"),
    [
        ("getAsset", 200, "application/json", asset(), []),
        ("getAsset", 200, "application/json", asset(url="https://s3.example/x"), []),
        ("getAsset", 200, "application/json", asset(token="t"), ["token: this field must not be here"]),
        ("getAsset", 200, "application/json", asset(size="1"), ["size: '1' is not a whole number"]),
        (
            "getAsset",
            200,
            "application/json",
            asset(createdAt="2019-05-15"),
            ["createdAt: '2019-05-15' is not an RFC 3339 date and time"],
        ),
        ("getAsset", 404, "application/problem+json", problem(), []),
        ("getAsset", 404, "application/problem+json", problem(status=200), ["status: 200 is less than 400"]),
        (
            "getAsset",
            404,
            "application/json",
            problem(),
            ["the media type 'application/json' is not declared for 404; getAsset gives application/problem+json"],
        ),
        ("getAsset", 404, None, None, ["the 404 answer has no body; getAsset gives application/problem+json"]),
        ("getAsset", 500, None, None, ["the status 500 is not declared; getAsset answers 200, 401, 403, 404, 503"]),
        ("downloadAsset", 200, "image/png", b"\x89PNG", []),
        ("downloadAsset", 200, "application/json", b"{", []),
        ("acknowledgeCommit", 200, "application/json", True, []),
        ("acknowledgeCommit", 200, "application/json", "true", ["'true' is not true"]),
        (
            "getPublisherInfo",
            200,
            "application/json",
            {"id": PUBLISHER, "email": "nobody", "name": "N"},
            ["email: 'nobody' is not an e-mail address"],
        ),
    ],
)
def test_an_answer_is_held_to_its_status_media_type_and_schema(
    operation_id: str, status: int, media_type: str | None, value: Any, violations: list[str]
) -> None:
    assert said(OPERATIONS[operation_id].response_violations(status, media_type, value)) == violations


def test_the_headers_of_an_answer_are_held_to_their_declaration() -> None:
    download = OPERATIONS["downloadAsset"]
    headers = {"Content-Disposition": 'attachment; filename="a"', "CONTENT-LENGTH": "3", "content-size": "3"}
    assert download.header_violations(200, headers) == []
    assert said(download.header_violations(200, {**headers, "content-size": "three"})) == [
        "header/content-size: 'three' does not match '^[0-9]+$'"
    ]
    assert said(download.header_violations(401, {})) == ["header/www-authenticate: this header is missing"]
    assert download.header_violations(500, {}) == []
    assert said(OPERATIONS["issueToken"].header_violations(200, {})) == ["header/cache-control: this header is missing"]


COUNTING = """
openapi: 3.1.0
info: {title: Counting, version: '1', x-participant: upload}
paths:
  /things:
    parameters:
      - {name: page, in: query, required: true, schema: {type: string, pattern: "^[0-9]+$"}}
    put:
      operationId: countThings
      security: []
      parameters:
        - {name: X-Count, in: header, required: true, schema: {type: string}}
      requestBody:
        content:
          application/json:
            schema: {type: object, maxProperties: 1, properties: {count: {type: integer, maximum: 9}}}
      responses:
        "204": {description: Counted.}
"""


@pytest.fixture
def count_things(tmp_path: Path) -> Operation:
    """An operation with what those of the services do not have: a query parameter, an answer without a body."""
    (tmp_path / "counting.yaml").write_text(COUNTING, encoding="utf-8")
    store = Store(tmp_path)
    return Specification(store, Schemas(store), "counting.yaml").operations["countThings"]


def test_a_query_parameter_is_held_to_its_schema(count_things: Operation) -> None:
    assert count_things.parameter_violations({}, {"page": "2"}) == []
    assert said(count_things.parameter_violations({}, {"page": "two"})) == [
        "query/page: 'two' does not match '^[0-9]+$'"
    ]
    assert said(count_things.parameter_violations({})) == ["query/page: this query parameter is missing"]


def test_an_answer_without_a_declared_body_may_have_none(count_things: Operation) -> None:
    assert count_things.responses == {204: ()}
    assert count_things.response_violations(204, None, None) == []


def test_a_rule_without_words_of_its_own_is_named(count_things: Operation) -> None:
    assert said(count_things.request_violations("application/json", {"count": 10, "more": 1})) == [
        "an object breaks the rule 'maxProperties'",
        "count: 10 is more than 9",
    ]


def test_secret_fields_are_those_marked_in_the_documents() -> None:
    of_both_profiles = {"token", "access_token", "client_secret", "password"}
    assert secret_fields() == of_both_profiles | {"assetToken", "refresh_token", "signature", "url?", "oauth_token"}


def test_a_reference_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("components: {schemas: {}}\n", encoding="utf-8")
    with pytest.raises(LookupError) as exc_info:
        Store(tmp_path).resolve("a.yaml", {"$ref": "#/components/schemas/Asset"})
    assert "a.yaml: #/components/schemas/Asset" in str(exc_info.value)
    assert "there is no 'Asset'" in str(exc_info.value)


def test_an_installed_package_reads_its_own_copy_of_the_documents(tmp_path: Path) -> None:
    """The layout of a wheel: the documents lie in `_data/` inside the package, with nothing of a checkout around."""
    package = tmp_path / "site-packages" / "phrasim"
    shutil.copytree(openapi_folder(), package / "_data" / "openapi")
    root = find_root(package)
    assert root == package / "_data"
    store = Store(root / "openapi")
    found = Specification(store, Schemas(store), "upload.yaml")
    violations = found.operations["commitAssets"].request_violations("application/json", {"files": ["x"]})
    assert said(violations) == ["files/0: 'x' is not a UUID"]


def test_a_package_without_documents_says_where_it_looked(tmp_path: Path) -> None:
    package = tmp_path / "simulators" / "phrasim"
    with pytest.raises(FileNotFoundError) as exc_info:
        find_root(package)
    assert str(package / "_data") in str(exc_info.value)
    assert str(tmp_path) in str(exc_info.value)


def test_the_folders_are_siblings() -> None:
    root = documents_root()
    assert (openapi_folder(), scenarios_folder()) == (root / "openapi", root / "scenarios")
    assert flow_document("documented") == root / "docs" / "request-flow.md"


def test_importing_reads_no_document_and_loads_no_validator() -> None:
    program = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
import phrasim.documents
assert not [name for name in opened if name.endswith(".yaml")], opened
phrasim.documents.specification("phraseanet.yaml")
assert [name.rpartition("/")[2] for name in opened if name.endswith(".yaml")] == ["phraseanet.yaml", "shared.yaml"]
assert "jsonschema_rs" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
