"""Traces on disk: lines of JSON, without secrets, whole or not at all."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.journal import lines
from phrasim.journal.events import (
    Body,
    Delivery,
    Event,
    File,
    Header,
    Lost,
    Noted,
    Publish,
    Received,
    Request,
    Response,
    Sent,
)
from phrasim.journal.lines import LineWriter, TraceError, message_of, read_trace, trace_bytes, write_trace
from phrasim.journal.redaction import fingerprint

SECRETS = frozenset({"token", "password"})
HEADER = Header(
    version="1",
    wire="in-process",
    profile="documented",
    seed=1,
    tokens="redacted",
    scenario="s: ☃\n",
    files=(File(name="a ☃.txt", size=3, sha256="00"),),
)
REQUEST = Request(
    id="user-1",
    sender="user",
    receiver="upload",
    method="POST",
    target="/a?token=t0k3n&b=c",
    headers=(("authorization", "Bearer t0k3n"), ("x-other", "plain")),
    body=Body(length=20, json={"token": "t0k3n", "b": 1}),
)
FORM = msgspec.structs.replace(REQUEST, id="user-2", target="/a", body=Body(length=9, text="user=p&password=s3cret"))
ANSWER = Response(
    id="upload-1",
    sender="upload",
    receiver="user",
    reply_to="user-1",
    status=200,
    headers=(),
    body=Body(length=5, base64="/w=="),
)
PUBLISH = Publish(
    id="phraseanet-1",
    sender="phraseanet",
    receiver="broker",
    exchange="e",
    routing_key="k",
    properties={"priority": 0},
    body=Body(length=20, json=[{"token": "t0k3n"}]),
)
DELIVERY = Delivery(
    id="broker-1",
    sender="broker",
    receiver="phraseanet",
    publish="phraseanet-1",
    queue="q",
    exchange="e",
    routing_key="k",
    redelivered=True,
    properties={},
    body=Body(length=1, sha256="00", digest="stored"),
)
EVENTS: list[Event] = [
    Sent(at=0, message=REQUEST),
    Received(at=0, message="user-1"),
    Sent(at=1, message=FORM),
    Lost(at=1, message="user-2", reason="refused"),
    Received(at=2, message=ANSWER),
    Lost(at=2, message=PUBLISH, reason="gone"),
    Sent(at=3, message=DELIVERY),
    Noted(at=4, by="upload", note="kept", details={"token": "t0k3n", "in": {"password": "s3cret"}}),
]


def test_a_trace_is_read_as_it_was_written(tmp_path: Path) -> None:
    shown = msgspec.structs.replace(HEADER, tokens="shown")
    write_trace(tmp_path / "t.jsonl", trace_bytes(shown, EVENTS, SECRETS))
    assert read_trace(tmp_path / "t.jsonl") == (shown, EVENTS)


def test_each_line_is_one_json_value_and_the_first_bears_the_version() -> None:
    content = trace_bytes(HEADER, EVENTS, SECRETS)
    values = [msgspec.json.decode(line) for line in content.splitlines()]
    assert len(values) == len(EVENTS) + 1
    assert next(iter(values[0])) == "trace"
    assert values[0]["trace"] == 1
    assert [value["event"] for value in values[1:]] == [type(event).__name__.lower() for event in EVENTS]
    assert content.endswith(b"\n")
    assert "☃".encode() in content


def test_no_secret_is_written_unless_the_header_says_so() -> None:
    redacted = trace_bytes(HEADER, EVENTS, SECRETS)
    assert b"t0k3n" not in redacted
    assert b"s3cret" not in redacted
    assert fingerprint("t0k3n").encode() in redacted
    shown = trace_bytes(msgspec.structs.replace(HEADER, tokens="shown"), EVENTS, SECRETS)
    assert shown.count(b"t0k3n") == 6
    assert shown.count(b"s3cret") == 2


def test_what_is_no_secret_stays(tmp_path: Path) -> None:
    write_trace(tmp_path / "t.jsonl", trace_bytes(HEADER, EVENTS, SECRETS))
    _, events = read_trace(tmp_path / "t.jsonl")
    first = events[0]
    assert isinstance(first, Sent)
    assert isinstance(first.message, Request)
    assert first.message.headers == (("authorization", f"Bearer {fingerprint('t0k3n')}"), ("x-other", "plain"))
    assert first.message.body.json == {"token": fingerprint("t0k3n"), "b": 1}
    assert first.message.target.endswith("&b=c")
    assert events[4:5] == EVENTS[4:5]
    assert events[6] == EVENTS[6]
    plain = msgspec.structs.replace(REQUEST, target="/plain", headers=(), body=Body(length=5, text="a text"))
    assert LineWriter(HEADER, SECRETS).redacted(Sent(at=0, message=plain)) == Sent(at=0, message=plain)


def test_the_message_of_an_event_is_known_by_its_id() -> None:
    assert message_of(Received(at=0, message="user-1")) == "user-1"
    assert message_of(Sent(at=0, message=REQUEST)) == "user-1"


@pytest.mark.parametrize("failing", ["write_bytes", "replace"])
def test_a_trace_that_cannot_be_written_whole_is_not_written(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("old")
    written = Path.write_bytes

    def half(self: Path, content: bytes) -> int:
        written(self, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    if failing == "write_bytes":
        monkeypatch.setattr(Path, "write_bytes", half)
    else:
        monkeypatch.setattr(lines.os, "replace", refuse)
    with pytest.raises(OSError, match=r"No space|cross-device"):
        write_trace(path, b"a new trace")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_trace_goes_to_no_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_trace(tmp_path / "nowhere" / "t.jsonl", b"")


@given(st.binary(max_size=300), st.integers(0, 8))
def test_no_bytes_make_the_reader_crash(tmp_path_factory: pytest.TempPathFactory, noise: bytes, number: int) -> None:
    """Noise in the place of any line: a trace, or an error that names the line."""
    good = trace_bytes(HEADER, EVENTS, SECRETS).splitlines(keepends=True)
    path = tmp_path_factory.getbasetemp() / "noise.jsonl"
    path.write_bytes(b"".join((*good[:number], noise, *good[number + 1 :])))
    said = f"{path}:"
    try:
        read_trace(path)
    except TraceError as error:
        said = str(error)
    assert said.startswith(f"{path}:")
