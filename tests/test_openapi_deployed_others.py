"""The deployed contracts of Phraseanet, Auth and the queues hold together, and say what PROTOCOL §3 to §5 tell.

The upload service's has a test file of its own.
"""

import base64
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import jsonschema_rs
import jwt
import pytest
from openapi_spec_validator import validate

from phrasim.documents import Messages, Specification, openapi_folder, secret_fields
from phrasim.documents.store import Store
from phrasim.documents.violations import Schemas

pytestmark = pytest.mark.unmeasured

OPENAPI_FILES = ("deployed/phraseanet.yaml", "deployed/auth.yaml")
MESSAGES_FILE = "deployed/messages.yaml"
FILES = (*OPENAPI_FILES, MESSAGES_FILE)
DOCUMENTED_FILES = ("upload.yaml", "phraseanet.yaml", "auth.yaml", "shared.yaml", "messages.yaml")
ROW = re.compile(r"§\d(\.\d+)?|H\d+|A\d+")
ANNOTATIONS = {"description", "summary", "title", "examples", "example", "default"}

store = Store(openapi_folder())
schemas = Schemas(store)
phraseanet, auth = (Specification(store, schemas, file) for file in OPENAPI_FILES)
messages = Messages(store, schemas, MESSAGES_FILE)
enqueue = phraseanet.operations["enqueueAssets"]
issue_token = auth.operations["issueToken"]
get_keys = auth.operations["getKeys"]


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


def schema_violations(file: str, pointer: str, value: Any) -> list[str]:
    """What the schema at `pointer` says against a value, by a validator made here and not by the package."""
    base = "file:///openapi/"
    registry = jsonschema_rs.Registry([(urljoin(base, name), each) for name, each in store.reached_from(file).items()])
    schema = {"$ref": f"{urljoin(base, file)}#{quote(pointer)}"}
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True, registry=registry)
    return [error.message for error in validator.iter_errors(value)]


def examples_of(file: str, mapping: dict[str, Any]) -> list[Any]:
    """The examples of a media type, parameter or header object."""
    named = [store.resolve(file, example)[2] for example in mapping.get("examples", {}).values()]
    return [example["value"] for example in named] + ([mapping["example"]] if "example" in mapping else [])


def written_operations(file: str) -> list[tuple[str, dict[str, Any]]]:
    """Every operation of an OpenAPI document by its place."""
    return [(place, each) for place, each in walk(store.document(file)) if "operationId" in each]


def answer(status: int) -> dict[str, Any]:
    """What `enqueueAssets` answers with that status, as it is written."""
    path = store.document("deployed/phraseanet.yaml")["paths"]["/api/v1/upload/enqueue/"]
    found: dict[str, Any] = store.resolve("deployed/phraseanet.yaml", path["post"]["responses"][str(status)])[2]
    return found


def message_example(name: str) -> dict[str, Any]:
    """An example of the messages document by its name."""
    (found,) = (
        example
        for message in messages.document["components"]["messages"].values()
        for example in message["examples"]
        if example["name"] == name
    )
    copied: dict[str, Any] = json.loads(json.dumps(found))
    return copied


def said(channel: str, value: Any) -> list[str]:
    return [str(violation) for violation in messages.message_violations(channel, value, "application/json")]


@pytest.mark.parametrize("file", OPENAPI_FILES)
def test_each_document_is_valid_openapi_3_1(file: str) -> None:
    assert store.document(file)["openapi"].startswith("3.1.")
    validate(store.document(file), base_uri=(openapi_folder() / file).as_uri())


def test_the_messages_are_valid_asyncapi_3() -> None:
    installed = Path(__file__).parents[1] / "build/node_modules/@asyncapi/specs"
    path = Path(os.environ.get("PHRASIM_ASYNCAPI_SPECS", installed)) / "schemas" / "3.0.0.json"
    if not path.is_file():
        reason = f"{path} is missing; `npm install` @asyncapi/specs, or set PHRASIM_ASYNCAPI_SPECS to its folder"
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    validator = jsonschema_rs.Draft7Validator(json.loads(path.read_text(encoding="utf-8")))
    document = json.loads(json.dumps(store.document(MESSAGES_FILE)))
    assert [(list(error.instance_path), error.message) for error in validator.iter_errors(document)] == []
    document["channels"]["createRecord"]["bindings"]["amqp"]["is"] = "exchange"
    assert not validator.is_valid(document), "the binding is not looked at"


@pytest.mark.parametrize("file", FILES)
def test_every_reference_leads_somewhere(file: str) -> None:
    references = [(place, each["$ref"]) for place, each in walk(store.document(file)) if "$ref" in each]
    assert references
    for place, reference in references:
        assert store.resolve(file, {"$ref": reference})[2] is not None, f"{file}#{place}"


@pytest.mark.parametrize("file", FILES)
def test_nothing_that_is_offered_is_unused(file: str) -> None:
    """Claims are what a token holds, which no reference from a body can say; they are used by the token's schema."""
    document = store.document(file)
    used = {each["$ref"].partition("#")[2] for _, each in walk(document) if "$ref" in each}
    used_whole = {"/".join(pointer.split("/")[:4]) for pointer in used}
    offered = {
        f"/components/{kind}/{name}"
        for kind, parts in document["components"].items()
        if kind != "securitySchemes"
        for name in parts
    }
    assert offered - used_whole == set()


@pytest.mark.parametrize("file", FILES)
def test_every_example_fits_its_schema(file: str) -> None:
    checked = 0
    for place, mapping in walk(store.document(file)):
        given: list[tuple[str, str, Any]] = []
        if "payload" in mapping and "contentType" in mapping:
            for part in ("payload", "headers"):
                if part in mapping:
                    found_in, pointer, _ = store.resolve(file, mapping[part])
                    given += [(found_in, f"{pointer}/schema", example[part]) for example in mapping["examples"]]
        elif "schema" in mapping and "schemaFormat" not in mapping:
            given = [(file, f"{place}/schema", value) for value in examples_of(file, mapping)]
        elif isinstance(mapping.get("examples"), list):
            given = [(file, place, value) for value in mapping["examples"]]
        for found_in, pointer, value in given:
            assert schema_violations(found_in, pointer, value) == [], f"{file}#{place}: {value!r}"
            checked += 1
    assert checked > 0


@pytest.mark.parametrize("file", OPENAPI_FILES)
def test_every_operation_and_every_answer_has_an_example(file: str) -> None:
    for place, operation in written_operations(file):
        assert operation["summary"]
        assert operation["description"]
        for parameter in operation.get("parameters", ()):
            parameter_in, _, found = store.resolve(file, parameter)
            assert examples_of(parameter_in, found), f"{place} {found['name']}"
        assert ("requestBody" in operation) == (not place.endswith("/get")), place
        found_in, _, request = store.resolve(file, operation.get("requestBody", {"content": {}}))
        for media_type, content in request["content"].items():
            assert examples_of(found_in, content), f"{place} {media_type}"
        for status, response in operation["responses"].items():
            found_in, _, found = store.resolve(file, response)
            assert found["description"]
            assert found.get("content") or found.get("headers"), f"{place} {status}"
            for media_type, content in found.get("content", {}).items():
                assert "schema" in content
                assert examples_of(found_in, content), f"{place} {status} {media_type}"
            for name, header in found.get("headers", {}).items():
                header_in, _, header_found = store.resolve(found_in, header)
                assert examples_of(header_in, header_found), f"{place} {status} {name}"


def test_every_message_has_an_example_of_each_part() -> None:
    for name, message in messages.document["components"]["messages"].items():
        assert message["examples"], name
        for example in message["examples"]:
            assert example.keys() - {"name", "summary"} == message.keys() & {"headers", "payload"}, name


@pytest.mark.parametrize("file", FILES)
def test_every_source_is_a_row_of_the_facts(file: str) -> None:
    sources = [(place, each["x-source"]) for place, each in walk(store.document(file)) if "x-source" in each]
    assert sources
    for place, rows in sources:
        assert rows, f"{file}#{place}"
        assert [row for row in rows if not ROW.fullmatch(row)] == [], f"{file}#{place}"


@pytest.mark.parametrize("file", FILES)
def test_operations_answers_messages_and_schemas_name_their_sources(file: str) -> None:
    document = store.document(file)
    named = [(place, each) for place, each in written_operations(file)]
    named += [(kind, each) for kind in ("channels", "operations") for each in document.get(kind, {}).values()]
    for kind in ("responses", "messages", "schemas", "securitySchemes"):
        parts = document["components"].get(kind, {}).items()
        named += [(name, each.get("schema", each) if kind == "schemas" else each) for name, each in parts]
    assert [place for place, each in named if not each.get("x-source")] == []


@pytest.mark.parametrize("file", FILES)
def test_the_words_of_the_documented_contract_are_not_used(file: str) -> None:
    """This contract is not decided but found out: what nobody saw is called not verified."""
    text = (openapi_folder() / file).read_text(encoding="utf-8")
    assert "*Not verified:*" in text
    assert not re.search(r"\*Documented:\*|\*Assumed:\*|x-assumed", text)


@pytest.mark.parametrize("file", FILES)
def test_every_field_named_like_a_secret_is_marked_as_one(file: str) -> None:
    secret = re.compile(r"(?i)^.*(token|secret|password)$")
    for place, mapping in walk(store.document(file)):
        name = place.rpartition("/properties/")[2]
        if "/properties/" in place and "/" not in name and secret.match(name):
            assert mapping.get("x-secret") is True, f"{file}#{place}"


def test_the_secrets_that_only_the_deployed_contract_has_are_hidden() -> None:
    assert {"assetToken", "refresh_token"} <= secret_fields()


def bare(value: Any) -> Any:
    """A schema without what says nothing of the values that fit it."""
    if isinstance(value, list):
        return [bare(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: {name: bare(part) for name, part in item.items()} if key == "properties" else bare(item)
        for key, item in value.items()
        if key not in ANNOTATIONS and not str(key).startswith("x-")
    }


def schemas_of_weight(file: str, document: dict[str, Any]) -> dict[str, str]:
    """The place of each schema that says more than a type, by the schema's text without annotations.

    References are made absolute, so that the same schema reads the same from either folder.
    """
    found: dict[str, str] = {}
    for place, mapping in walk(document):
        shown = bare(mapping)
        heavy = any(keyword in shown for keyword in ("enum", "items", "pattern", "properties"))
        if heavy and not place.endswith("/properties"):
            text = json.dumps(shown, sort_keys=True)
            found[re.sub(r'(?<="\$ref": ")[^"]*', lambda match: urljoin(f"file:///openapi/{file}", match[0]), text)] = (
                place
            )
    return found


def written_again(file: str, document: dict[str, Any]) -> list[str]:
    """The places in a document of schemas that a documented contract has, too."""
    there = [text for name in DOCUMENTED_FILES for text in schemas_of_weight(name, store.document(name))]
    return [place for text, place in schemas_of_weight(file, document).items() if text in there]


@pytest.mark.parametrize("file", FILES)
def test_no_schema_of_the_documented_contract_is_written_again(file: str) -> None:
    assert schemas_of_weight(file, store.document(file))
    assert written_again(file, store.document(file)) == []


def test_a_schema_that_is_written_again_is_found_whatever_its_description() -> None:
    refusal = store.document("auth.yaml")["components"]["schemas"]["TokenRefusal"]
    commit = json.loads(json.dumps(store.document("upload.yaml")["components"]["schemas"]["CommitRequest"]))
    commit["properties"]["files"]["items"] = {"$ref": "../shared.yaml#/components/schemas/AssetId"}
    commit["properties"]["formData"] = {"$ref": "../shared.yaml#/components/schemas/FormData"}
    document = {"Refusal": {**refusal, "description": "In other words."}, "Commit": commit}
    assert {"/Refusal", "/Commit"} <= set(written_again("deployed/auth.yaml", document))


def test_the_operations_keep_their_names() -> None:
    assert list(phraseanet.operations) == ["enqueueAssets"]
    assert list(auth.operations) == ["issueToken", "getKeys"]
    assert {"produceMessage", "consumeMessage", "giveUpMessage"} <= messages.operations.keys()


def test_only_the_path_with_the_slash_is_served() -> None:
    assert phraseanet.match("POST", "/api/v1/upload/enqueue/") == (enqueue, {})
    assert phraseanet.match("POST", "/api/v1/upload/enqueue") is None


def test_the_refusals_of_the_notification_are_those_of_section_3() -> None:
    assert list(enqueue.answers) == [200, 400, 401, 404, 405, 422, 500]
    assert enqueue.security == ("OAuth", "OAuthParameter")


@pytest.mark.parametrize("missing", ["assets", "publisher", "token", "base_url", "commit_id"])
def test_each_of_the_five_fields_is_required(missing: str) -> None:
    (whole, _) = examples_of(
        "deployed/phraseanet.yaml",
        store.document("deployed/phraseanet.yaml")["components"]["requestBodies"]["Enqueue"]["content"][
            "application/json"
        ],
    )
    body = {name: value for name, value in whole.items() if name != missing}
    assert [str(one) for one in enqueue.request_violations("application/json", body)] == [
        f"{missing}: this field is missing"
    ]


def test_the_documented_notification_is_refused() -> None:
    documented = store.document("phraseanet.yaml")["components"]["requestBodies"]["Enqueue"]["content"]
    example = documented["application/json"]["examples"]["documented"]["value"]
    violations = enqueue.request_violations("application/json", example)
    assert [violation.pointer for violation in violations] == ["/base_url", "/commit_id"]


def test_a_notification_may_hold_anything_else() -> None:
    body = {"assets": [1, None], "publisher": "", "token": "", "base_url": "", "commit_id": "", "more": {}}
    assert enqueue.request_violations("application/json", body) == []


@pytest.mark.parametrize(
    ("status", "header", "value"),
    [
        (400, "WWW-Authenticate", "OAuth realm='Service', error='invalid_request'"),
        (401, "WWW-Authenticate", "OAuth realm='Service', error='invalid_token'"),
        (401, "WWW-Authenticate", "OAuth realm='Service', error='expired_token'"),
        (422, "X-Status-Code", "422"),
    ],
)
def test_a_refusal_has_the_header_of_the_library_word_for_word(status: int, header: str, value: str) -> None:
    assert value in examples_of("deployed/phraseanet.yaml", header_of(status, header)) or header == "X-Status-Code"
    assert enqueue.header_violations(status, {header: value}) == []
    assert len(enqueue.header_violations(status, {header: f"{value}."})) == 1


def header_of(status: int, name: str) -> dict[str, Any]:
    """A header of an answer of `enqueueAssets`, as it is written."""
    found: dict[str, Any] = store.resolve("deployed/phraseanet.yaml", answer(status)["headers"][name])[2]
    return found


def test_what_oauth_refuses_has_no_envelope() -> None:
    assert enqueue.responses[401] == ()
    assert enqueue.header_violations(401, {}) != []
    assert enqueue.responses[400] == ("application/json",)
    assert answer(400)["x-body"] == "optional"
    assert enqueue.header_violations(400, {}) == []
    assert enqueue.response_violations(400, "application/json", {"error": "invalid_request"}) == []
    assert len(enqueue.response_violations(400, "application/json", {"error": "invalid_token"})) == 1


@pytest.mark.parametrize(
    ("status", "error_type"),
    [
        (200, None),
        (404, "Not Found"),
        (405, "Method Not Allowed"),
        (422, "Unprocessable Entity"),
        (500, "Internal Server Error"),
    ],
)
def test_an_envelope_tells_its_own_status(status: int, error_type: str | None) -> None:
    """PROTOCOL §3: `meta` with its eight fields, beside `response`, which is empty in a refusal."""
    for media_type in ("application/json", "application/yaml"):
        envelopes = examples_of("deployed/phraseanet.yaml", answer(status)["content"][media_type])
        for envelope in envelopes:
            assert list(envelope) == ["meta", "response"]
            assert (envelope["meta"]["http_code"], envelope["meta"]["error_type"]) == (status, error_type)
            assert (envelope["response"] == {}) == (status != 200)
            for field in envelope["meta"]:
                meta = {name: value for name, value in envelope["meta"].items() if name != field}
                assert enqueue.response_violations(status, media_type, {**envelope, "meta": meta}) != [], field


def test_an_accepted_notification_is_given_back() -> None:
    (envelope,) = examples_of("deployed/phraseanet.yaml", answer(200)["content"]["application/json"])
    document = store.document("deployed/phraseanet.yaml")
    assert envelope["response"]["data"] == document["components"]["examples"]["Notification"]["value"]


def test_a_refusal_with_the_reason_of_another_status_is_a_violation() -> None:
    (first, *_) = examples_of("deployed/phraseanet.yaml", answer(422)["content"]["application/json"])
    mixed = {**first, "meta": {**first["meta"], "error_type": "Not Found"}}
    assert enqueue.response_violations(422, "application/json", mixed) != []
    accepted = {**first, "meta": {**first["meta"], "http_code": 200}}
    assert enqueue.response_violations(200, "application/json", accepted) != []


def test_auth_has_the_token_endpoint_and_its_keys_and_nothing_else() -> None:
    assert issue_token.path == "/realms/{realm}/protocol/openid-connect/token"
    assert list(issue_token.answers) == [200, 400, 401, 404]
    assert (get_keys.method, get_keys.path) == ("GET", "/realms/{realm}/protocol/openid-connect/certs")
    assert list(get_keys.answers) == [200, 404]
    assert issue_token.security == get_keys.security == ()
    for gone in ("/token-info", "/users/info/", "/me", "/users/"):
        assert gone in auth.document["info"]["description"]


@pytest.mark.parametrize(
    ("status", "errors"),
    [
        (400, ["invalid_request", "unsupported_grant_type", "unauthorized_client", "invalid_scope"]),
        (401, ["invalid_client", "invalid_grant"]),
    ],
)
def test_wrong_credentials_are_401_and_other_faults_400(status: int, errors: list[str]) -> None:
    response = store.resolve("deployed/auth.yaml", auth_answer(status))[2]
    examples = examples_of("deployed/auth.yaml", response["content"]["application/json"])
    assert [example["error"] for example in examples] == errors
    assert all(example["error_description"] for example in examples)


def auth_answer(status: int) -> dict[str, Any]:
    """What `issueToken` answers with that status, as it is written."""
    found: dict[str, Any] = auth.document["paths"][issue_token.path]["post"]["responses"][str(status)]
    return found


def test_the_tokens_of_the_examples_hold_claims_that_the_schema_describes() -> None:
    response = store.resolve("deployed/auth.yaml", auth_answer(200))[2]
    claims = []
    for example in examples_of("deployed/auth.yaml", response["content"]["application/json"]):
        part = example["access_token"].split(".")[1]
        claims.append(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))
        assert claims[-1]["scope"] == example["scope"]
    (user, client) = auth.document["components"]["schemas"]["TokenClaims"]["examples"]
    assert claims == [client, user]


def test_the_tokens_of_the_examples_are_signed_with_the_key_of_the_examples() -> None:
    (keys,) = examples_of("deployed/auth.yaml", answered_keys())
    (key,) = keys["keys"]
    response = store.resolve("deployed/auth.yaml", auth_answer(200))[2]
    for example in examples_of("deployed/auth.yaml", response["content"]["application/json"]):
        token = example["access_token"]
        assert jwt.get_unverified_header(token) == {"alg": key["alg"], "kid": key["kid"], "typ": "JWT"}
        claims = json.loads(jwt.PyJWS().decode(token, jwt.PyJWK(key), algorithms=["RS256"]))
        assert claims["exp"] - claims["iat"] == example["expires_in"]


def answered_keys() -> dict[str, Any]:
    """What `getKeys` answers, as it is written."""
    found: dict[str, Any] = auth.document["paths"][get_keys.path]["get"]["responses"]["200"]["content"][
        "application/json"
    ]
    return found


@pytest.mark.parametrize("field", ["kid", "kty", "alg", "use", "n", "e"])
def test_each_field_of_an_rsa_key_is_required(field: str) -> None:
    (keys,) = examples_of("deployed/auth.yaml", answered_keys())
    less = {name: value for name, value in keys["keys"][0].items() if name != field}
    found = get_keys.response_violations(200, "application/json", {"keys": [less]})
    assert [str(one) for one in found] == [f"keys/0/{field}: this field is missing"]


def test_a_key_of_another_kind_has_other_fields() -> None:
    curve = {"kid": "k", "kty": "EC", "alg": "ES256", "use": "sig", "crv": "P-256", "x": "eA", "y": "eQ"}
    assert get_keys.response_violations(200, "application/json", {"keys": [curve]}) == []


def test_a_token_that_is_no_jwt_is_a_violation() -> None:
    token = {"access_token": "NjM0ZGE1", "expires_in": 300, "token_type": "Bearer", "scope": ""}
    assert [one.pointer for one in issue_token.response_violations(200, "application/json", token)] == ["/access_token"]


MAIN, RETRY = "alchemy-exchange", "retry-alchemy-exchange"
WEEK_MS = 7 * 24 * 3600 * 1000
TOPOLOGY = [
    ("assetsIngest", MAIN, (RETRY, "assetsIngest_retry"), None, 3),
    ("assetsIngest_retry", RETRY, (MAIN, "assetsIngest"), 10_000, None),
    ("assetsIngest_failed", RETRY, None, WEEK_MS, None),
    ("createRecord", MAIN, (RETRY, "createRecord_retry"), None, 3),
    ("createRecord_retry", RETRY, (MAIN, "createRecord"), 10_000, None),
    ("createRecord_failed", RETRY, None, WEEK_MS, None),
    ("pullAssets", MAIN, (RETRY, "pullAssets_loop"), None, None),
    ("pullAssets_loop", RETRY, (MAIN, "pullAssets"), 10_000, None),
]


def test_there_are_the_queues_of_section_4_1_and_no_others() -> None:
    assert list(messages.channels) == [name for name, *_ in TOPOLOGY]


@pytest.mark.parametrize(("name", "exchange", "dead_letters", "ttl_ms", "max_retry"), TOPOLOGY)
def test_a_queue_is_that_row_of_section_4_1(
    name: str, exchange: str, dead_letters: tuple[str, str] | None, ttl_ms: int | None, max_retry: int | None
) -> None:
    channel = messages.channels[name]
    assert channel.queue == channel.routing_key == name
    assert channel.exchange == exchange
    assert (channel.exchange_type, channel.exchange_durable, channel.queue_durable) == ("direct", True, True)
    arguments: dict[str, str | int] = {}
    if dead_letters:
        arguments |= {"x-dead-letter-exchange": dead_letters[0], "x-dead-letter-routing-key": dead_letters[1]}
    if ttl_ms:
        arguments["x-message-ttl"] = ttl_ms
    assert channel.queue_arguments == arguments
    assert messages.document["channels"][name].get("x-max-retry") == max_retry
    assert messages.for_queue(name) is messages.for_routing_key(exchange, name) is channel


@pytest.mark.parametrize(("name", "exchange", "dead_letters", "ttl_ms", "max_retry"), TOPOLOGY)
def test_the_table_in_the_text_is_the_topology(
    name: str, exchange: str, dead_letters: tuple[str, str] | None, ttl_ms: int | None, max_retry: int | None
) -> None:
    dead = f"`{dead_letters[0]}`, `{dead_letters[1]}`" if dead_letters else ""
    lives = {None: "", 10_000: "10 s", WEEK_MS: "7 days"}[ttl_ms]
    executions = "no limit" if name == "pullAssets" else str(max_retry or "")
    (line,) = (row for row in messages.document["info"]["description"].splitlines() if row.startswith(f"| `{name}` |"))
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        f"`{name}`",
        f"`{exchange}`",
        dead,
        lives,
        executions,
    ]


def test_nobody_consumes_a_retry_failed_or_loop_queue() -> None:
    received = {one.channel for one in messages.operations.values() if one.action == "receive"}
    sent = {one.channel for one in messages.operations.values() if one.action == "send"}
    assert received == {"assetsIngest", "createRecord", "pullAssets"}
    assert sent == messages.channels.keys() - {"pullAssets_loop"}
    assert all(one.persistent == (one.action == "send") for one in messages.operations.values())


def test_every_message_of_an_operation_is_one_of_its_channel() -> None:
    for name, operation in messages.document["operations"].items():
        for reference in operation["messages"]:
            assert reference["$ref"].startswith(f"{operation['channel']['$ref']}/messages/"), name


@pytest.mark.parametrize(
    ("channel", "example"),
    [
        ("assetsIngest", "told"),
        ("assetsIngest", "found"),
        ("assetsIngest_retry", "toldAndFailedTwice"),
        ("assetsIngest_retry", "found"),
        ("assetsIngest_failed", "toldAndGivenUp"),
        ("assetsIngest_failed", "foundAndGivenUp"),
        ("createRecord", "inStory"),
        ("createRecord_retry", "downloadFailed"),
        ("createRecord_failed", "givenUp"),
        ("pullAssets", "started"),
        ("pullAssets_loop", "started"),
    ],
)
def test_a_queue_takes_its_messages(channel: str, example: str) -> None:
    assert said(channel, message_example(example)["payload"]) == []


@pytest.mark.parametrize("example", ["told", "found", "alone", "started"])
def test_any_message_counts_its_attempts_once_there_are_more(example: str) -> None:
    body = message_example(example)["payload"]
    assert "count" not in body["payload"]
    assert said(body["message_type"], {**body, "payload": {**body["payload"], "count": 2}}) == []
    assert said(body["message_type"], {**body, "payload": {**body["payload"], "count": "2"}}) == [
        "payload/count: '2' is not a whole number"
    ]


@pytest.mark.parametrize("example", ["told", "found", "alone", "started"])
def test_a_message_without_its_time_of_publishing_is_told(example: str) -> None:
    body = message_example(example)["payload"]
    del body["payload"]["published"]
    assert said(body["message_type"], body) == ["payload/published: this field is missing"]


@pytest.mark.parametrize(
    ("example", "field"), [("told", "commit_id"), ("found", "verify_ssl"), ("found", "token"), ("told", "type")]
)
def test_a_commit_is_held_to_the_kind_that_it_is_nearest_to(example: str, field: str) -> None:
    body = message_example(example)["payload"]
    del body["payload"][field]
    assert f"payload/{field}: this field is missing" in said("assetsIngest", body)
    if field != "type":
        assert len(said("assetsIngest", body)) == 1


def test_a_pulled_commit_may_have_objects_for_ids_and_a_number_is_none() -> None:
    """H25: what an upload service of today lists becomes no text."""
    body = message_example("found")["payload"]
    body["payload"]["assets"] = [{"@id": "/assets/x", "id": "x"}]
    assert said("assetsIngest", body) == []
    body["payload"]["assets"] = [1]
    assert said("assetsIngest", body) == ["payload/assets/0: 1 is not a string or an object"]


def test_the_work_of_one_queue_is_not_taken_by_another() -> None:
    body = message_example("alone")["payload"]
    assert said("pullAssets", body)[0] == "message_type: 'createRecord' is not 'pullAssets'"
    assert said("assetsIngest", body)[0] == "message_type: 'createRecord' is not 'assetsIngest'"


@pytest.mark.parametrize(("work", "failed"), [("told", "assetsIngest_failed"), ("alone", "createRecord_failed")])
def test_a_failed_queue_takes_no_message_in_its_former_form(work: str, failed: str) -> None:
    """H12: nothing tells any more which work it was for."""
    body = message_example(work)["payload"]
    assert "message_type: this field must not be here" in said(failed, body)


@pytest.mark.parametrize(
    ("retried", "queue", "count"),
    [
        ("toldAndFailedTwice", "assetsIngest", 3),
        ("foundAndFailed", "assetsIngest", 2),
        ("downloadFailed", "createRecord", 2),
    ],
)
def test_who_tries_again_claims_a_rejection(retried: str, queue: str, count: int) -> None:
    """PROTOCOL §4.3: one entry, made by the client, whose count is 2 at the first failure."""
    headers = message_example(retried)["headers"]
    (death,) = headers["x-death"]
    assert (death["queue"], death["routing-keys"], death["count"]) == (queue, queue, count)
    pointer = "/components/schemas/RetryHeaders/schema"
    for field in death:
        less = {name: value for name, value in death.items() if name != field}
        assert schema_violations(MESSAGES_FILE, pointer, {**headers, "x-death": [less]}), field
    assert schema_violations(MESSAGES_FILE, pointer, {**headers, "x-death": [death, death]})
    assert schema_violations(MESSAGES_FILE, pointer, {**headers, "x-death": [{**death, "count": 1}]})
    assert schema_violations(MESSAGES_FILE, pointer, {**headers, "x-death": [{**death, "reason": "expired"}]})
    assert schema_violations(MESSAGES_FILE, pointer, {"x-death": [death]})


@pytest.mark.parametrize("name", ["PushedCommitAgain", "PulledCommitAgain", "AssetToRecordAgain"])
def test_only_what_is_published_into_a_retry_queue_has_headers(name: str) -> None:
    parts = messages.document["components"]["messages"]
    assert [other for other, message in parts.items() if "headers" in message].count(name) == 1
    assert len([message for message in parts.values() if "headers" in message]) == 3
