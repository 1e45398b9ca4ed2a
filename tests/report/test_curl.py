"""Requests as curl commands: a shell and curl send them to a server here, and they are the same requests again."""

import os
import re
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from phrasim.contract.finding import HttpExchange
from phrasim.journal.redaction import REDACTED
from phrasim.report.concealment import Concealment
from phrasim.report.curl import WRITTEN_BYTES_MAX, curl_command
from report.verifications import PNG, TOKEN, exchange

MADE_BY_CURL = {"host", "user-agent", "content-length"}
ENDS_WITHIN_S = 30


class Seen:
    """A server that keeps what it is asked, as it stood on the wire."""

    def __init__(self) -> None:
        seen = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                seen.requests.append((self.requestline, [(n.lower(), v) for n, v in self.headers.items()], body))
                self.send_response(204)
                self.end_headers()

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self.answer
                raise AttributeError(name)

            def log_message(self, *_: object) -> None:
                pass

        self.requests: list[tuple[str, list[tuple[str, str]], bytes]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"

    def asked_by(self, command: str, folder: Path, **variables: str) -> tuple[str, list[tuple[str, str]], bytes]:
        self.requests.clear()
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ENDS_WITHIN_S,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b""), command
        (request,) = self.requests
        return request


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    """The server. Without curl the tests that ask for it are skipped, but in CI they fail."""
    if shutil.which("curl") is None:
        reason = "no curl here: apt-get install -y curl"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    server = Seen()
    thread = Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.server.shutdown()
        thread.join()
        server.server.server_close()


def part(name: str, content: bytes, filename: str | None = None, media_type: str | None = None) -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'
    head += "" if filename is None else f'; filename="{filename}"'
    head += "" if media_type is None else f"\r\nContent-Type: {media_type}"
    return f"--bound\r\n{head}\r\n\r\n".encode() + content + b"\r\n"


def form(*parts: bytes) -> dict[str, Any]:
    """The body and the headers of a form with files."""
    headers = (("content-type", "multipart/form-data; boundary=bound"),)
    return {"request_headers": headers, "request_body": b"".join(parts) + b"--bound--\r\n"}


def held(asked: HttpExchange, request: tuple[str, list[tuple[str, str]], bytes], origin: str) -> None:
    """Whether a request is that of the exchange, but for the boundary of a form and what curl makes itself."""
    line, headers, body = request
    expected = list(asked.request_headers)
    boundary = re.search("boundary=(-{8,}[0-9A-Za-z]+)", dict(headers).get("content-type", ""))
    if boundary:
        body = body.replace(boundary[1].encode(), b"bound")
        headers = [(name, value.replace(boundary[1], "bound")) for name, value in headers]
    target = asked.url.removeprefix(origin)
    assert line == f"{asked.method} {target} HTTP/1.1"
    assert body == asked.request_body
    left_out = MADE_BY_CURL | {"connection", "traceparent", "accept-encoding", "transfer-encoding"}
    assert sorted(one for one in headers if one[0] not in left_out) == sorted(
        one for one in expected if one[0] not in left_out
    )


TOKENS = st.text("abcXYZ0189-._", min_size=4, max_size=20).filter(lambda one: not one.isdecimal())
VISIBLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12).map(str.strip)
NAMES = st.sampled_from(["accept", "x-one", "x-two", "traceparent", "connection", "prefer"])
SEGMENTS = st.text("aZ09-._~!$&'()*+,;=:@%[]{}", max_size=6) | st.sampled_from(["..", ".", "%2e", "%C3%A9"])
CONTENTS = st.text(max_size=20).map(str.encode) | st.binary(max_size=40)
PARTS = st.builds(
    part,
    st.sampled_from(["file", "formData", "with space", "a'b", "é", "no=t"]),
    CONTENTS,
    st.none() | st.sampled_from(["a.png", "a;b,c.txt", "it's.jpg", "é.pdf", ""]),
    st.none() | st.sampled_from(["image/png", "text/plain; charset=utf-8", "application/json", "odd"]),
)


@st.composite
def asked(draw: st.DrawFn) -> tuple[HttpExchange, str]:
    """A request, and the one secret that it bears, in whichever places."""
    token = draw(TOKENS)
    query = draw(
        st.sampled_from(["", "?", "?a=1&b=[2]", "?x=it's&$HOME=`id`"])
        | st.sampled_from(["oauth_token", "access_token", "user[token]"]).map(lambda name: f"?{name}={token}&after=1")
    )
    url = "/" + "/".join(draw(st.lists(SEGMENTS, max_size=3))) + query
    headers = draw(st.lists(st.tuples(NAMES, VISIBLE), max_size=4, unique_by=lambda one: one[0]))
    scheme = draw(st.sampled_from(["", "Bearer ", "AssetToken ", "OAuth "]))
    if draw(st.booleans()):
        headers.append(("authorization", scheme + token))
    body = draw(
        st.just(b"")
        | CONTENTS
        | st.just(urlencode({"grant_type": "password", "client_secret": token}).encode())
        | st.text(max_size=12).map(lambda text: f'{{"token": "{token}", "a": [{{"token": ["{token}"]}}, 1]}}'.encode())
        | st.lists(PARTS, min_size=1, max_size=3).map(lambda parts: form(*parts)["request_body"])
        | st.just(form(part("token", token.encode()), part("file", PNG, "a.png", "image/png"))["request_body"])
    )
    if body:
        kind = "application/x-www-form-urlencoded" if body.startswith(b"grant") else "application/json"
        kind = "multipart/form-data; boundary=bound" if body.startswith(b"--bound") else kind
        headers += draw(
            st.sampled_from([[("content-type", kind)], [] if b"bound" not in body else [("content-type", kind)]])
        )
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", *([] if body else ["HEAD"])]))
    return exchange(method=method, url=url, request_headers=tuple(headers), request_body=body), token


@given(asked())
@example((exchange(url="/a/../b?", method="GET", request_body=b"", request_headers=()), TOKEN))
@example((exchange(url="/-", request_body=b"-\0%s'\\\r\n", request_headers=()), TOKEN))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_shell_sends_the_same_request_again(seen: Seen, tmp_path: Path, made: tuple[HttpExchange, str]) -> None:
    request, token = made
    there = replace(request, url=seen.origin + request.url)
    command = curl_command(there)
    assume("it may hold a secret" not in command)  # a token in bytes that are no text, in a form that is no common one
    assert command.isprintable()
    held(there, seen.asked_by(command, tmp_path, PHRASIM_TOKEN=token), seen.origin)


@given(st.binary(min_size=1, max_size=300))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_sent_as_they_are(seen: Seen, tmp_path: Path, body: bytes) -> None:
    there = exchange(url=f"{seen.origin}/", request_headers=(), request_body=body)
    held(there, seen.asked_by(curl_command(there), tmp_path), seen.origin)


@pytest.mark.parametrize(
    ("header", "written"),
    [
        (("authorization", f"Bearer {TOKEN}"), '"authorization: Bearer $PHRASIM_TOKEN"'),
        (("authorization", f"AssetToken {TOKEN}"), '"authorization: AssetToken $PHRASIM_TOKEN"'),
        (("authorization", f"OAuth {TOKEN}"), '"authorization: OAuth $PHRASIM_TOKEN"'),
        (("authorization", TOKEN), '"authorization: $PHRASIM_TOKEN"'),
        (("authorization", ""), "'authorization;'"),
        (("authorization", "AssetToken"), "'authorization: AssetToken'"),
        (("authorization", "Bearer "), "'authorization: Bearer '"),
        (("cookie", f"session={TOKEN}"), '"cookie: $PHRASIM_TOKEN"'),
        (("token", TOKEN), '"token: $PHRASIM_TOKEN"'),
        (("token", ""), "'token;'"),
        (("referer", f"http://a/?token={TOKEN}&$"), "'referer: http://a/?token='\"$PHRASIM_TOKEN\"'&$'"),
        (("x-tab", "a\tb"), "\"$(printf 'x-tab: a\\tb')\""),
    ],
)
def test_credentials_in_headers_are_a_variable(header: tuple[str, str], written: str) -> None:
    command = curl_command(exchange(method="GET", url="http://h/", request_headers=(header,), request_body=b""))
    assert command == f"curl -sS -i http://h/ -H {written} -H accept:"


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("http://h/a?oauth_token=abc", '"http://h/a?oauth_token=$PHRASIM_TOKEN"'),
        ("http://h/a?access_token=abc&b=1", '"http://h/a?access_token=$PHRASIM_TOKEN&b=1"'),
        ("http://h/a?access_token=&b=1", "'http://h/a?access_token=&b=1'"),
        ("http://h/a?user[token]=abc", '-g "http://h/a?user[token]=$PHRASIM_TOKEN"'),
        ("http://zoe:secret@h/a", "http://h/a"),
        ("http://h/./a?token=abc", '"http://h/./a?token=$PHRASIM_TOKEN" --request-target "/./a?token=$PHRASIM_TOKEN"'),
        ("/of-no-host/../a", "/of-no-host/../a --request-target /of-no-host/../a"),
    ],
)
def test_credentials_in_a_url_are_a_variable(url: str, written: str) -> None:
    command = curl_command(exchange(method="GET", url=url, request_headers=(("accept", "*/*"),), request_body=b""))
    assert command == f"curl -sS -i {written}"


@pytest.mark.parametrize(
    ("media_type", "body", "written"),
    [
        ("application/json", '{"a":"b"}', '--data-raw \'{"a":"b"}\''),
        ("application/json", "@file", "--data-raw @file"),
        ("application/json", '{"token":"abc"}', """--data-raw '{"token":"'"$PHRASIM_TOKEN"'"}'"""),
        ("application/json", '{"token":""}', """--data-raw '{"token":""}'"""),
        ("application/json", '{"token":null,"a":true}', """--data-raw '{"token":null,"a":true}'"""),
        ("application/json", '{"token":[12,{"a":"b"}]}', '\'"$PHRASIM_TOKEN"\',{"a":"\'"$PHRASIM_TOKEN_2"\'"}]}\''),
        ("application/json", '{"url":"http://f/a?b"}', '--data-raw \'{"url":"http://f/a?\'"$PHRASIM_TOKEN"\'"}\''),
        ("application/json", '{"url":"http://f/a\\u003fb"}', '--data-raw \'{"url":"\'"$PHRASIM_TOKEN"\'"}\''),
        ("application/json", '{"url":"http://f/a"}', '--data-raw \'{"url":"http://f/a"}\''),
        ("application/x-www-form-urlencoded", "a=b&token=abc", '--data-raw "a=b&token=$PHRASIM_TOKEN"'),
        ("application/x-www-form-urlencoded", '{"token":"abc"}', """--data-raw '{"token":"'"$PHRASIM_TOKEN"'"}'"""),
        ("text/plain", "token=abc", '--data-raw "token=$PHRASIM_TOKEN"'),
        ("text/plain", "password=a&client_secret=b", '"password=$PHRASIM_TOKEN&client_secret=$PHRASIM_TOKEN_2"'),
    ],
)
def test_credentials_in_a_body_are_variables(media_type: str, body: str, written: str) -> None:
    headers = (("accept", "*/*"), ("content-type", media_type))
    command = curl_command(exchange(url="http://h/", request_headers=headers, request_body=body.encode()))
    assert command.startswith(f"curl -sS -i -X POST http://h/ -H 'content-type: {media_type}' --data-raw ")
    assert command.endswith(written)


def test_several_secrets_have_a_variable_each(seen: Seen, tmp_path: Path) -> None:
    body = urlencode({"client_secret": "a & b", "password": "c", "token": "one"}).encode()
    headers = (("authorization", "Basic one"), ("content-type", "application/x-www-form-urlencoded"))
    there = exchange(url=f"{seen.origin}/token", request_headers=headers, request_body=body)
    variables = {"PHRASIM_TOKEN": "one", "PHRASIM_TOKEN_2": "a+%26+b", "PHRASIM_TOKEN_3": "c"}
    held(there, seen.asked_by(curl_command(there), tmp_path, **variables), seen.origin)


def test_secrets_that_a_journal_has_redacted_are_not_taken_for_one() -> None:
    body = {"client_secret": REDACTED, "password": REDACTED}
    headers = (("content-type", "application/json"),)
    command = curl_command(exchange(request_headers=headers, request_body=msgspec.json.encode(body)))
    assert command.count("$PHRASIM_TOKEN_2") == 1
    assert command.count("$PHRASIM_TOKEN") == 2


def test_what_another_exchange_gave_out_is_hidden_here() -> None:
    given = exchange(response_body=b'{"url": "https://h/a?expires=15&signed=0a1b2c"}')
    asked = exchange(method="GET", url="https://h/a?expires=15&signed=0a1b2c", request_headers=(), request_body=b"")
    assert curl_command(asked, Concealment([given, asked])) == 'curl -sS -i "https://h/a?$PHRASIM_TOKEN" -H accept:'


def test_a_form_with_files_is_made_by_curl() -> None:
    made = form(
        part("title", b"a;b"),
        part("token", b"abc"),
        part("formData", b'["\\n"]', None, "application/json"),
        part("file", b"text", "a b.txt", "text/plain"),
        part("image", b"\x89%\0", "a.png", "image/png"),
    )
    assert curl_command(exchange(url="http://h/", **made)).split(" -") == [
        r"printf '\211%%\000' | curl",
        "sS",
        "i",
        "X POST http://h/",
        "H accept:",
        "-form-string 'title=a;b'",
        '-form-string "token=$PHRASIM_TOKEN"',
        r"""F 'formData="[\"\\n\"]";type=application/json'""",
        """F 'file="text";filename="a b.txt";type=text/plain'""",
        """F 'image=@-;filename="a.png";type=image/png'""",
    ]


@pytest.mark.parametrize("secret", ["abc", 'a"b'])
def test_a_typed_part_with_a_secret_is_sent_whole(seen: Seen, tmp_path: Path, secret: str) -> None:
    made = form(part("token", secret.encode(), "a.txt", "text/plain"), part("a", b"b"))
    there = exchange(url=f"{seen.origin}/", **made)
    held(there, seen.asked_by(curl_command(there), tmp_path, PHRASIM_TOKEN=secret), seen.origin)


@pytest.mark.parametrize(
    "parts",
    [
        [part("no=t", b"a")],
        [part("", b"a")],
        [part("a", b"b", "")],
        [part("a", b"b", "untyped")],
        [part("a", b"b", "a.txt", "odd")],
        [part("a", b"b", "a\u202e.txt", "text/plain")],
        [part("a", b"\0"), part("b", b"\0")],
        [b"--bound\r\ncontent-disposition: form-data; name=a\r\n\r\nb\r\n"],
        [b"preamble\r\n", part("a", b"b")],
    ],
)
def test_a_form_that_curl_would_write_in_another_way_is_sent_as_it_is(
    seen: Seen, tmp_path: Path, parts: list[bytes]
) -> None:
    there = exchange(url=f"{seen.origin}/", **form(*parts))
    command = curl_command(there)
    assert " -F " not in command
    held(there, seen.asked_by(command, tmp_path), seen.origin)


@pytest.mark.parametrize("filename", [None, "a.bin"])
def test_a_long_part_is_taken_from_a_file(seen: Seen, tmp_path: Path, filename: str | None) -> None:
    content = b"x" * (WRITTEN_BYTES_MAX + 1)
    there = exchange(url=f"{seen.origin}/", **form(part("file", content, filename, "image/png"), part("a", b"b")))
    command = curl_command(there)
    assert "  # part-1.bin: 8193 bytes, SHA-256 " in command
    (tmp_path / "part-1.bin").write_bytes(content)
    held(there, seen.asked_by(command, tmp_path), seen.origin)


def test_a_long_body_is_taken_from_a_file(seen: Seen, tmp_path: Path) -> None:
    content = b"x" * (WRITTEN_BYTES_MAX + 1)
    there = exchange(url=f"{seen.origin}/", request_headers=(), request_body=content)
    command = curl_command(there)
    assert re.search(r"--data-binary @body\.bin  # body\.bin: 8193 bytes, SHA-256 [0-9a-f]{64}$", command)
    (tmp_path / "body.bin").write_bytes(content)
    held(there, seen.asked_by(command, tmp_path), seen.origin)


@pytest.mark.parametrize(
    "made",
    [
        {"request_body": b'{"token": "abc'},
        {"request_body": b'{"token": "abc\\ud800"}'},
        {"request_body": b"\xff the token abc"},
        {"request_body": '{"token": "abc"}'.encode("utf-16")},
        {"request_body": b"[" * 100_000 + b'"token"'},
        {
            "request_body": b"next=/?token=abc",
            "request_headers": (("content-type", "application/x-www-form-urlencoded"),),
        },
        {"request_body": b"abc", "request_headers": (("content-encoding", "gzip"),)},
        {"request_body": b"a token=abc"},
    ],
)
def test_a_body_whose_secrets_nobody_can_place_is_not_written(made: dict[str, Any]) -> None:
    command = curl_command(exchange(**made))
    assert "abc" not in command
    assert command.endswith(", not written here, since it may hold a secret")


def test_nor_is_such_a_part_of_a_form() -> None:
    command = curl_command(exchange(**form(part("file", b"the token abc", "a.txt", "text/plain"), part("a", b"b"))))
    assert "abc" not in command
    assert re.search("-F 'file=@part-1.bin;.*--form-string a=b  # part-1.bin: 13 bytes, .*since it may hold", command)


def test_bytes_that_repeat_a_token_are_not_written() -> None:
    command = curl_command(exchange(request_body=b"\xff" + TOKEN.encode()))
    assert TOKEN not in command
    assert command.endswith("since it may hold a secret")


def test_the_password_of_basic_credentials_is_known() -> None:
    credentials = f"Basic {b64encode(b'zoe:correct horse').decode()}"
    headers = (("authorization", credentials), ("x-said", "correct horse"))
    command = curl_command(exchange(url="http://h/", request_headers=headers, request_body=b""))
    assert '-H "x-said: $PHRASIM_TOKEN_2"' in command
    spoilt = (("authorization", "Basic ‹no base64›"), ("proxy-authorization", "basic /w=="))
    assert "no base64" not in curl_command(exchange(request_headers=spoilt))


def test_a_token_that_was_cut_off_is_hidden_too() -> None:
    hide = Concealment([exchange()])
    assert hide.text(f"it said {TOKEN[:13]}… and {TOKEN[:15]}...") == "it said ‹5f1c3cbe›… and ‹5f1c3cbe›..."
    assert hide.text(TOKEN[:14]) == "‹5f1c3cbe›"
    assert hide.text(f"{TOKEN[:14]}\nnext") == "‹5f1c3cbe›\nnext"
    assert hide.text(f"{TOKEN[:14]} is another word") == f"{TOKEN[:14]} is another word"


def test_a_short_secret_hides_no_words() -> None:
    hide = Concealment([exchange(request_headers=(("authorization", "Bearer the"),))])
    assert hide.text("the answer") == "the answer"


def test_secrets_that_overlap_are_hidden_as_one() -> None:
    given = [("authorization", "Bearer 0123456789"), ("proxy-authorization", "Bearer 56789abcde"), ("token", "789abcd")]
    hide = Concealment([exchange(request_headers=tuple(given))])
    assert hide.text("<0123456789abcde>") == "<‹84d89877›>"
    assert hide.text("<456789abcde>") == f"<4{hide.text('56789abcde')}>"


def test_a_secret_in_the_name_of_a_host_is_hidden() -> None:
    headers = (("accept", "*/*"), ("authorization", "Bearer files.example"))
    asked = exchange(method="GET", url="http://files.example/../a", request_headers=headers, request_body=b"")
    assert curl_command(asked) == (
        'curl -sS -i "http://$PHRASIM_TOKEN/../a" --request-target /../a -H "authorization: Bearer $PHRASIM_TOKEN"'
    )


@pytest.mark.parametrize(
    ("method", "body", "written"),
    [
        ("GET", b"", "-i http://h/"),
        ("HEAD", b"", "-I http://h/"),
        ("DELETE", b"", "-i -X DELETE http://h/"),
        ("PUT", b"", "-i -X PUT http://h/ -H content-type: --data-raw ''"),
        ("GET", b"a", "-i -X GET http://h/ -H content-type: --data-raw a"),
        ("a b", b"", "-i -X 'a b' http://h/"),
    ],
)
def test_curl_is_told_the_method_where_it_would_take_another(method: str, body: bytes, written: str) -> None:
    asked = exchange(method=method, url="http://h/", request_headers=(("accept", "*/*"),), request_body=body)
    assert curl_command(asked) == f"curl -sS {written}"
