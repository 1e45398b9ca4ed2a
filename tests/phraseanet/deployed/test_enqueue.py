"""`POST /api/v1/upload/enqueue/`: OAuth, the envelope, and each refusal of §3."""

from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
import yaml

from phrasim.phraseanet.deployed.state import OAuthToken
from phrasim.service.operations import REQUEST_BYTES_MAX

ENQUEUE = "/api/v1/upload/enqueue/"
TOLD = {"assets": ["a"], "publisher": "p", "token": "t", "base_url": "https://nowhere.test", "commit_id": "c"}
SEED = {"assets": ["a"], "publisher": "p", "token": "t"}
GOOD = {"authorization": "OAuth good"}


async def post(land: Any, path: str = ENQUEUE, body: Any = TOLD, **options: Any) -> httpx.Response:
    options.setdefault("headers", GOOD)
    if "content" not in options and "data" not in options:
        options["json"] = body
    return await land.network.client("user", "phraseanet").request(options.pop("method", "POST"), path, **options)


def enqueued(play: Any, **options: Any) -> tuple[httpx.Response, int]:
    """The answer to a request, and how many commits it enqueued."""

    async def main(land: Any) -> tuple[httpx.Response, int]:
        await land.workers.stop()
        await land.clock.sleep(0)
        answer = await post(land, **options)
        return answer, land.depth("assetsIngest")[0]

    found: tuple[httpx.Response, int] = play(main)
    return found


def meta(request: str, code: int, error: tuple[str | None, str | None], details: str | None) -> dict[str, Any]:
    return {
        "api_version": "2.0.0",
        "request": request,
        "response_time": "2019-05-15T14:13:54+00:00",
        "http_code": code,
        "error_type": error[0],
        "error_message": error[1],
        "error_details": details,
        "charset": "UTF-8",
    }


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-php"])
def test_a_notification_is_given_back_in_an_envelope_whatever_its_content_type(play: Any, content_type: str) -> None:
    """§3: the content type is not enforced, extra keys are kept."""
    told = TOLD | {"more": {"a": [1]}}
    answer, count = enqueued(play, body=told, headers=GOOD | {"content-type": content_type})
    assert (answer.status_code, answer.headers["content-type"], count) == (200, "application/json", 1)
    accepted = meta("POST /api/v1/upload/enqueue/", 200, (None, None), None)
    assert answer.json() == {"meta": accepted, "response": {"data": told}}


@pytest.mark.parametrize("assets", [[], [{"id": "a"}, 1, None]])
def test_no_assets_and_assets_that_are_no_text_are_accepted(play: Any, assets: Any) -> None:
    """H32."""
    answer, count = enqueued(play, body=TOLD | {"assets": assets})
    assert (answer.status_code, count) == (200, 1)


@pytest.mark.parametrize(
    "credentials",
    [
        {"headers": {"authorization": "OAuth good"}},
        {"headers": {"authorization": "  OAuth    good "}},
        {"headers": {}, "path": f"{ENQUEUE}?oauth_token=good"},
    ],
    ids=["header", "spaces", "parameter"],
)
def test_a_token_comes_by_header_or_by_parameter(play: Any, credentials: dict[str, Any]) -> None:
    """§3."""
    answer, count = enqueued(play, **credentials)
    assert (answer.status_code, count) == (200, 1)


def test_a_token_in_a_form_is_taken_but_the_form_is_no_notification(play: Any) -> None:
    """§3: `oauth_token` as POST parameter; the body is that form then, and so not JSON."""
    answer, count = enqueued(play, headers={}, data={"oauth_token": "good"})
    assert (answer.status_code, answer.json()["meta"]["error_details"], count) == (422, "Syntax error", 0)


@pytest.mark.parametrize(
    ("credentials", "status", "error"),
    [
        ({"headers": {}}, 400, "invalid_request"),
        ({"headers": {"authorization": "OAuth wrong"}}, 401, "invalid_token"),
        ({"headers": {"authorization": "OAuth revoked"}}, 401, "invalid_token"),
        ({"headers": {"authorization": "OAuth GOOD"}}, 401, "invalid_token"),
        ({"headers": {}, "path": f"{ENQUEUE}?oauth_token=wrong"}, 401, "invalid_token"),
        ({"headers": {}, "data": {"oauth_token": "wrong"}}, 401, "invalid_token"),
    ],
    ids=["none", "unknown", "revoked", "case", "parameter", "form"],
)
def test_a_missing_or_bad_token_is_refused_without_a_body(
    play: Any, credentials: dict[str, Any], status: int, error: str
) -> None:
    """§3: no envelope, and a header `WWW-Authenticate`."""
    answer, count = enqueued(play, **credentials)
    assert (answer.status_code, answer.content, count) == (status, b"", 0)
    assert answer.headers["www-authenticate"] == f"OAuth realm='Service', error='{error}'"


def test_a_token_expires(play: Any) -> None:
    """§3: `expired_token`."""

    async def main(land: Any) -> None:
        land.state._tokens["old"] = OAuthToken("old", expires=land.clock.now() + timedelta(seconds=10))
        shown = {"authorization": "OAuth old"}
        assert (await post(land, headers=shown)).status_code == 200
        await land.clock.sleep(10.5)
        answer = await post(land, headers=shown)
        assert (answer.status_code, answer.content) == (401, b"")
        assert answer.headers["www-authenticate"] == "OAuth realm='Service', error='expired_token'"

    play(main)


@pytest.mark.parametrize(
    "credentials",
    [
        {"headers": {"authorization": "Bearer good"}},
        {"headers": {"authorization": "ApiKey good"}},
        {"headers": {"authorization": "oauth good"}},
        {"headers": {"authorization": "OAuth"}},
        {"headers": {"authorization": ""}},
        {"headers": {"authorization": "OAuth good"}, "path": f"{ENQUEUE}?oauth_token=good"},
        {"headers": {"authorization": "OAuth good"}, "data": {"oauth_token": "good"}},
        {"headers": {}, "path": f"{ENQUEUE}?oauth_token=good", "data": {"oauth_token": "good"}},
    ],
    ids=["Bearer", "ApiKey", "case", "empty scheme", "empty", "header+query", "header+form", "query+form"],
)
def test_another_scheme_and_a_second_token_are_refused_in_json(play: Any, credentials: dict[str, Any]) -> None:
    """§3, H34: JSON without an envelope, and no header `WWW-Authenticate`."""
    answer, count = enqueued(play, **credentials)
    assert (answer.status_code, answer.json(), count) == (400, {"error": "invalid_request"}, 0)
    assert answer.headers["content-type"] == "application/json"
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize(
    ("content", "details"),
    [
        (b"", "Syntax error"),
        (b"{", "Syntax error"),
        (b"[" * 100_000, "Syntax error"),
        (b"[]", "an array is not an object"),
        (b'{"assets": [], "publisher": "p", "token": "t"}', "The property base_url is required"),
        (b"{}", "The property assets is required"),
        (
            b'{"assets": "a", "publisher": 1, "token": "t", "base_url": "b", "commit_id": "c"}',
            "assets: 'a' is not an array",
        ),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_a_body_that_breaks_the_schema_is_422_with_its_first_violation(play: Any, content: bytes, details: str) -> None:
    """§3; the documented example lacks two fields, of which one is told."""
    answer, count = enqueued(play, content=content)
    assert (answer.status_code, count) == (422, 0)
    error = ("Unprocessable Entity", "Request content is unprocessable")
    refused = meta("POST /api/v1/upload/enqueue/", 422, error, details)
    assert answer.json() == {"meta": refused, "response": {}}


def test_the_documented_path_without_its_slash_is_404_and_nobody_is_redirected(play: Any) -> None:
    """§3, A3; asked of nobody for a token."""
    answer, count = enqueued(play, path="/api/v1/upload/enqueue", headers={})
    assert (answer.status_code, answer.headers["x-status-code"], count) == (404, "404", 0)
    details = 'No route found for "POST /api/v1/upload/enqueue"'
    error = ("Not Found", "Requested resource is not found")
    assert answer.json() == {"meta": meta("POST /api/v1/upload/enqueue", 404, error, details), "response": {}}


def test_another_method_is_405(play: Any) -> None:
    """§3."""
    answer, _ = enqueued(play, method="GET", headers={})
    assert (answer.status_code, answer.headers["allow"], answer.headers["x-status-code"]) == (405, "POST", "405")
    error = ("Method Not Allowed", "Attempting to use POST with a GET-only endpoint, or vice-versa")
    details = 'No route found for "GET /api/v1/upload/enqueue/": Method Not Allowed (Allow: POST)'
    assert answer.json() == {"meta": meta("GET /api/v1/upload/enqueue/", 405, error, details), "response": {}}


def test_what_nobody_foresaw_is_500_also_by_jsonp(play: Any) -> None:
    """§3: the only refusal that JSONP gives a status of its own."""

    async def main(land: Any) -> list[httpx.Response]:
        async def failing(*_: Any) -> None:
            raise RuntimeError("unforeseen")

        land.publisher.publish = failing
        return [await post(land), await post(land, f"{ENQUEUE}?callback=told")]

    plain, called = play(main)
    error = ("Internal Server Error", "Internal Server Error")
    refused = meta("POST /api/v1/upload/enqueue/", 500, error, "An exception occurred")
    assert (plain.status_code, plain.json()) == (500, {"meta": refused, "response": {}})
    assert (called.status_code, called.headers["content-type"]) == (500, "text/javascript; charset=utf-8")


@pytest.mark.parametrize(("body", "code"), [(TOLD, 200), (SEED, 422)])
def test_a_callback_makes_it_javascript_that_is_always_200(play: Any, body: Any, code: int) -> None:
    """§3: JSONP."""
    answer, _ = enqueued(play, path=f"{ENQUEUE}?callback=my.told", body=body)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert answer.text.startswith("/**/my.told({")
    assert answer.text.endswith(");")
    assert f'"http_code":{code}' in answer.text


def test_a_callback_that_is_no_name_is_passed_over(play: Any) -> None:
    answer, _ = enqueued(play, path=f"{ENQUEUE}?callback=alert(1)%3B")
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/yaml", "application/yaml"),
        ("text/html, text/yaml;q=0.5", "application/yaml"),
        ("application/yaml, application/json", "application/json"),
        ("text/html", "application/json"),
    ],
)
def test_the_envelope_is_yaml_for_who_accepts_that_and_no_json(play: Any, accept: str, media_type: str) -> None:
    """§3."""
    answer, _ = enqueued(play, headers=GOOD | {"accept": accept})
    assert answer.headers["content-type"] == media_type
    assert yaml.safe_load(answer.text)["response"] == {"data": TOLD}
    refusal, _ = enqueued(play, body=SEED, headers=GOOD | {"accept": accept})
    assert yaml.safe_load(refusal.text)["response"] == {}


def test_the_answer_is_200_also_when_the_broker_is_away_and_the_commit_is_lost(play: Any, act: Any) -> None:
    """H1."""

    async def main(land: Any) -> None:
        told = land.upload.commit(b"one")
        land.publishing.away = True
        answer = await land.tell(told)
        assert (answer.status_code, answer.json()["response"]) == (200, {"data": told})
        land.publishing.away = False
        await land.clock.sleep(100)
        reason = "the broker cannot be reached: Connection refused"
        assert act.seen(land).noted("message lost") == [{"queue": "assetsIngest", "reason": reason}]
        assert land.state.records == ()

    play(main)


def test_a_body_without_end_is_not_read(play: Any) -> None:
    async def main(land: Any) -> int:
        answer = await post(land, content=b" " * (REQUEST_BYTES_MAX + 1))
        return answer.status_code

    # 413 is that of a web server before Phraseanet, of which its contract does not tell.
    assert play(main, foreign=True) == 413


@pytest.mark.parametrize("levels", [200, 240, 300])
def test_a_notification_of_many_levels_is_accepted_or_refused_and_no_failure(play: Any, levels: int) -> None:
    content = b'{"more": %b%b, %b' % (b"[" * levels, b"]" * levels, msgspec.json.encode(TOLD)[1:])
    answer, count = enqueued(play, content=content, headers=GOOD | {"accept": "application/yaml"})
    assert (answer.status_code, count) in ((200, 1), (422, 0))
