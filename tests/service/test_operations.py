"""What every simulated service does alike: paths and methods it does not have, failures, and its handlers."""

import asyncio
import re
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.responses import Response

from phrasim.documents import contract, specification
from phrasim.edge.at_once import MATCHED
from phrasim.service.credentials import AssetToken, Bearer, credentials
from phrasim.service.operations import Call, service
from phrasim.testbed import Testbed

NO_ID = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("participant", ["upload", "phraseanet", "auth"])
@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/assets/a/b/c", "/api/v1/upload", "/users/info/", "/me", "/_healthcheck"]
)
def test_a_path_that_no_operation_has_is_404(play: Any, participant: Any, path: str) -> None:
    async def main(bed: Testbed) -> None:
        for method in ("GET", "POST", "PUT"):
            answer = await bed.client("user", participant).request(method, path)
            assert (answer.status_code, answer.json()["detail"]) == (404, f"there is nothing at {path}")

    play(main)


PATHS = [
    (one.participant, one.method, one.path.replace("{id}", NO_ID)) for one in contract("documented").operations.values()
]


@pytest.mark.parametrize(("participant", "method", "path"), PATHS, ids=list(contract("documented").operations))
def test_a_slash_more_is_another_path(play: Any, participant: Any, method: str, path: str) -> None:
    """A3 and A13: nobody is redirected from one to the other."""

    async def main(bed: Testbed) -> None:
        answer = await bed.client("user", participant).request(method, path + "/")
        assert answer.status_code == 404
        assert bed.client("user", participant).follow_redirects is False

    play(main)


@pytest.mark.parametrize(("participant", "method", "path"), PATHS, ids=list(contract("documented").operations))
def test_a_method_that_an_operation_has_not_is_405_and_the_right_ones_are_named_in_order(
    play: Any, participant: Any, method: str, path: str
) -> None:
    async def main(bed: Testbed) -> None:
        for other in ("PUT", "DELETE", "PATCH", "OPTIONS", "GET" if method == "POST" else "POST"):
            answer = await bed.client("user", participant).request(other, path)
            assert answer.status_code == 405
            assert answer.headers["allow"] == {"GET": "GET, HEAD", "POST": "POST"}[method]
            assert answer.json()["detail"] == f"{other} is not a method of {path}"

    play(main)


@pytest.mark.parametrize("profile", ["documented", "deployed"])
@pytest.mark.parametrize("participant", ["upload", "phraseanet", "auth"])
@pytest.mark.parametrize("parameter", ["a", "%41%20b", "a.b;c=d", "%C3%A9", "a%2Fb", "a%0Ab"])
def test_a_service_finds_the_operation_and_parameters_that_the_edge_finds(
    profile: str, participant: Any, parameter: str
) -> None:
    one = contract(profile).specification(participant)
    asked: list[Any] = []

    async def handler(call: Call) -> Response:
        asked.append((call.operation, dict(call.path)))
        return Response()

    async def receive() -> Any:
        raise AssertionError("nobody reads")

    async def send(_message: Any) -> None:
        pass

    app = service(one, dict.fromkeys(one.operations, handler))
    for operation in one.operations.values():
        path = unquote(re.sub("{[^}]+}", parameter, operation.path))
        scope = {"type": "http", "method": operation.method, "path": path, "headers": []}
        matched = one.match(operation.method, path)
        for more in ({}, {} if matched is None else {MATCHED: matched}):
            asked.clear()
            asyncio.run(app({**scope, **more}, receive, send))
            assert asked == ([] if matched is None else [matched])


def test_a_handler_that_fails_is_500_and_noted_with_its_error(
    play: Any, act: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(bed: Testbed) -> None:
        def fails(_: str) -> None:
            raise KeyError("a bug")

        monkeypatch.setattr(bed.auth, "token", fails)
        answer = await bed.client("user", "auth").get("/token-info", headers={"authorization": "Bearer x"})
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.json()["title"], answer.json()["status"]) == ("Internal Server Error", 500)
        assert act.seen(bed).noted("failed") == [{"error": "KeyError: 'a bug'"}]

    play(main, failing=True)


def test_a_service_must_have_a_handler_for_each_of_its_operations_and_no_more() -> None:
    async def handler(_: Any) -> Response:
        return Response()

    auth = specification("auth.yaml")
    with pytest.raises(AssertionError, match="each operation has a handler"):
        service(auth, {"issueToken": handler})
    with pytest.raises(AssertionError, match="each handler an operation"):
        service(auth, {**dict.fromkeys(auth.operations, handler), "more": handler})


@pytest.mark.parametrize(
    ("authorization", "presented"),
    [
        (None, None),
        ("", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Bearer abc", Bearer("abc")),
        ("BEARER abc", Bearer("abc")),
        ("Bearer a b", Bearer("a b")),
        ("Bearer é", None),
        ("Bearer a\tb", None),
        ("AssetToken abc", AssetToken("abc")),
        ("AssetToken é", None),
        ("assettoken abc", None),
        ("ASSETTOKEN abc", None),
        ("Basic abc", None),
        ("OAuth abc", None),
    ],
)
def test_credentials_are_a_scheme_and_a_token_of_printable_ascii(authorization: str | None, presented: Any) -> None:
    assert credentials(authorization) == presented
