"""HAR files, held to the schema that others have made of HAR 1.2."""

import json
import os
from base64 import b64decode
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim import __version__
from phrasim.contract.finding import HttpExchange
from phrasim.report.har import BODY_BYTES_MAX, har
from report.verifications import PNG, TOKEN, bearing, exchange, finding, mixed, suite, verification


@pytest.fixture(scope="module")
def judge() -> jsonschema_rs.Draft6Validator:
    """The schema. Without it the tests that ask for it are skipped, but in CI they fail."""
    installed = Path(__file__).parents[2] / "build/node_modules/har-schema"
    folder = Path(os.environ.get("PHRASIM_HAR_SCHEMA", installed)) / "lib"
    if not (folder / "har.json").is_file():
        reason = f"no har-schema in {folder.parent}: make build/.node, or set PHRASIM_HAR_SCHEMA to its folder"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    documents = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
    registry = jsonschema_rs.Registry(
        [(f"file:///{name}", {**document, "$id": f"file:///{name}"}) for name, document in documents.items()]
    )
    return jsonschema_rs.Draft6Validator({"$ref": "file:///har.json"}, registry=registry, validate_formats=True)


def log_of(*exchanges: HttpExchange) -> Any:
    return json.loads(har(verification(exchanges=exchanges)))["log"]


def entry_of(**changes: Any) -> Any:
    (entry,) = log_of(exchange(**changes))["entries"]
    return entry


def test_the_schema_finds_nothing_and_is_looked_at(judge: jsonschema_rs.Draft6Validator) -> None:
    log = json.loads(har(mixed()))
    assert [(error.instance_path, error.message) for error in judge.iter_errors(log)] == []
    del log["log"]["entries"][1]["request"]["queryString"]
    assert not judge.is_valid(log)


BODIES = st.binary(max_size=40) | st.text(max_size=20).map(str.encode)
HEADERS = st.lists(st.tuples(st.sampled_from(["content-type", "location", "authorization", "x-a"]), st.text())).map(
    tuple
)


@given(
    st.builds(
        exchange,
        request_headers=HEADERS,
        request_body=BODIES,
        status=st.none() | st.integers(100, 599),
        response_headers=HEADERS,
        response_body=BODIES,
        seconds=st.floats(0, 1000),
        began_at=st.floats(0, 4e9),
        url=st.text("aZ09-._~%€é", max_size=9).map(lambda path: f"https://h/{path.replace('%', '%25')}?token={path}"),
        failure=st.text(st.characters()),
    )
)
def test_whatever_was_on_the_wire_makes_a_valid_file(judge: jsonschema_rs.Draft6Validator, made: HttpExchange) -> None:
    content = har(verification(suite("a", finding(exchange=made, came=made.failure))))
    assert [(error.instance_path, error.message) for error in judge.iter_errors(json.loads(content))] == []


def test_a_file_with_secrets_everywhere_is_valid(judge: jsonschema_rs.Draft6Validator) -> None:
    assert judge.is_valid(json.loads(har(bearing("a secret of nobody €"))))


def test_the_file_says_who_made_it_and_how_to_have_it_again() -> None:
    log = log_of()
    assert (log["version"], log["creator"]) == ("1.2", {"name": "phrasim", "version": __version__})
    assert log["comment"].startswith("phrasim verify upload --url https://uploader.example ")
    assert log["entries"] == []


def test_an_exchange_is_an_entry() -> None:
    entry = entry_of()
    assert entry["startedDateTime"] == "2025-10-09T08:53:20.250+00:00"
    assert (entry["time"], entry["timings"]) == (12, {"send": 0, "wait": 12, "receive": 0})
    request, response = entry["request"], entry["response"]
    assert (request["method"], request["url"], request["bodySize"]) == ("POST", "http://127.0.0.1:8081/commit", 28)
    assert request["postData"] == {"mimeType": "application/json", "text": '{"files":[],"formData":null}'}
    assert (response["status"], response["statusText"], response["bodySize"]) == (500, "Internal Server Error", 30)
    assert response["content"] == {
        "size": 30,
        "mimeType": "text/html; charset=utf-8",
        "text": "<h1>Internal Server Error</h1>",
    }
    assert entry["_phrasim"] == {
        "sender": "user",
        "receiver": "upload",
        "operationId": "commitAssets",
        "findings": [],
    }


def test_secrets_are_fingerprints_as_in_a_trace() -> None:
    entry = entry_of(
        url=f"https://h/a?token={TOKEN}&page=1",
        request_body=b'{"password": "abc", "token": 12, "a": 1}',
        response_headers=(("location", f"/b?token={TOKEN}"), ("set-cookie", "abc")),
        response_body=b'{"access_token": "abc"}',
    )
    request, response = entry["request"], entry["response"]
    assert request["url"] == "https://h/a?token=%E2%80%B95f1c3cbe%E2%80%BA&page=1"
    assert request["queryString"] == [{"name": "token", "value": "‹5f1c3cbe›"}, {"name": "page", "value": "1"}]
    assert {"name": "authorization", "value": "Bearer ‹5f1c3cbe›"} in request["headers"]
    assert json.loads(request["postData"]["text"]) == {"password": "‹redacted›", "token": "‹redacted›", "a": 1}
    assert response["redirectURL"] == "/b?token=‹5f1c3cbe›"
    assert response["headers"][1] == {"name": "set-cookie", "value": "‹ba7816bf›"}
    assert response["content"]["text"] == '{"access_token": "‹ba7816bf›"}'


def test_bytes_are_base64() -> None:
    headers = (("content-type", "image/png"),)
    entry = entry_of(request_headers=headers, request_body=PNG, response_headers=(), response_body=PNG)
    posted, content = entry["request"]["postData"], entry["response"]["content"]
    assert (b64decode(posted["text"]), posted["_encoding"], posted["mimeType"]) == (PNG, "base64", "image/png")
    assert (b64decode(content["text"]), content["encoding"]) == (PNG, "base64")
    assert (content["mimeType"], content["size"]) == ("application/octet-stream", len(PNG))


@pytest.mark.parametrize(
    ("body", "why"),
    [(b"x" * (BODY_BYTES_MAX + 1), "too long for this file"), (b'{"token": "ab', "it may hold a secret")],
)
def test_a_body_that_is_left_out_is_told_by_its_digest(body: bytes, why: str) -> None:
    posted = entry_of(request_body=body)["request"]["postData"]
    assert "text" not in posted
    assert posted["comment"].startswith(f"left out, {why}: {len(body)} bytes, SHA-256 ")


def test_a_request_without_a_body_posts_nothing() -> None:
    request = entry_of(method="GET", request_body=b"")["request"]
    assert request["bodySize"] == 0
    assert "postData" not in request


def test_a_request_without_an_answer_says_what_happened() -> None:
    entry = entry_of(status=None, response_headers=(), response_body=b"", failure="no answer within 5 s")
    assert (entry["response"]["status"], entry["response"]["bodySize"]) == (0, -1)
    assert entry["_error"] == "no answer within 5 s"


def test_an_unknown_status_has_no_text() -> None:
    assert entry_of(status=599)["response"]["statusText"] == ""


def test_exchanges_stand_once_in_their_order_with_what_was_found_in_them() -> None:
    entries = json.loads(har(mixed()))["log"]["entries"]
    found = [[(one["operationId"], one["rule"]) for one in entry["_phrasim"]["findings"]] for entry in entries]
    assert found == [[("commitAssets", "status")] * 3, [("uploadAsset", "body")]]
    assert entries[0]["_phrasim"]["findings"][0]["expected"] == "one of 200, 400, 401, 403, 404, 415, 422"
