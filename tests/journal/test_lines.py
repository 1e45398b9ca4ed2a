"""Traces on disk: lines of JSON, without secrets, whole or not at all."""

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.edge.body import journal_body
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
from phrasim.journal.lines import LineWriter, TraceError, read_trace, trace_bytes, write_trace
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


def test_who_was_external_stands_in_the_first_line_and_nothing_does_where_nobody_was(tmp_path: Path) -> None:
    external = msgspec.structs.replace(HEADER, external=("phraseanet", "broker"))
    write_trace(tmp_path / "t.jsonl", trace_bytes(external, (), SECRETS))
    assert read_trace(tmp_path / "t.jsonl")[0] == external
    nobody = msgspec.json.decode(trace_bytes(HEADER, (), SECRETS))
    assert "external" not in nobody
    assert list(nobody) == [name for name in msgspec.to_builtins(HEADER) if name != "external"]


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


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    for name in ("there.jsonl", "not-yet.jsonl"):
        (tmp_path / name).symlink_to(Path("far") / name)
    (tmp_path / "far" / "there.jsonl").write_text("old")
    for name in ("there.jsonl", "not-yet.jsonl"):
        write_trace(tmp_path / name, b"new")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "far" / name).read_bytes() == b"new"
    assert len(list((tmp_path / "far").iterdir())) == 2


def test_a_link_that_leads_to_itself_is_refused_and_stays(tmp_path: Path) -> None:
    link = tmp_path / "circle"
    link.symlink_to(link)
    with pytest.raises(OSError, match="symbolic links"):
        write_trace(link, b"new")
    assert link.is_symlink()


@pytest.mark.parametrize("linked", [False, True])
def test_a_fifo_is_written_to_and_stays(linked: bool, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    named = tmp_path / "link" if linked else fifo
    if linked:
        named.symlink_to(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_trace(named, b"a trace")
        assert os.read(reading, 100) == b"a trace"
    finally:
        os.close(reading)
    assert fifo.is_fifo()
    assert named.is_symlink() == linked


def test_a_file_that_standard_output_goes_to_is_added_to(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from phrasim.journal.lines import write_trace;"
        "print('printed', flush=True); write_trace(Path('/dev/stdout'), b'a trace')"
    )
    path = tmp_path / "out.txt"
    with path.open("wb") as file:
        subprocess.run([sys.executable, "-c", program], stdout=file, check=True)
    assert path.read_text() == "printed\na trace"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "1: the file is empty; the first line of a trace is its header"),
        (b" \n", "1: this line is blank; the first line of a trace is its header"),
        (
            trace_bytes(HEADER, (), SECRETS) + b"\n",
            "2: this line is blank; every line of a trace after the first is an",
        ),
    ],
)
def test_an_empty_trace_and_a_blank_line_are_called_so(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(content)
    with pytest.raises(TraceError) as raised:
        read_trace(path)
    assert str(raised.value).startswith(f"{path}:{said}")


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


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        ("application/json", b'{"client_secret":"s3cret" '),
        ("application/json", b'{"token":["s3cret"]}'),
        ("text/plain", b'{"password": "s3cret"}'),
        ("application/octet-stream", b'\xff\xfe "token": "s3cret"'),
        ("application/x-www-form-urlencoded", b"grant_type=password&passw%6frd=s3cret"),
        ("application/x-www-form-urlencoded; charset=utf-8", b"client_secret=s3cret"),
    ],
)
def test_a_secret_in_a_body_of_any_form_does_not_reach_the_trace(media_type: str, content: bytes) -> None:
    message = Request(
        id="user-1",
        sender="user",
        receiver="auth",
        method="POST",
        target="/oauth/v2/token",
        headers=(("content-type", media_type),),
        body=journal_body(content, media_type),
    )
    line = LineWriter(HEADER, SECRETS | {"client_secret"}).line(Sent(at=0, message=message))
    assert b"s3cret" not in line
    assert base64.b64encode(b"s3cret")[:6] not in line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [*lines, *lines[1:]], "was sent already, on line 2"),
        (lambda lines: [lines[0], lines[1].replace(b'"at":0', b'"at":-5')], "is at -5 ns"),
    ],
)
def test_a_message_is_sent_once_and_time_does_not_go_back(change: Any, said: str, tmp_path: Path) -> None:
    message = Request(
        id="user-1", sender="user", receiver="upload", method="GET", target="/", headers=(), body=Body(length=0)
    )
    trace = tmp_path / "trace.jsonl"
    trace.write_bytes(b"".join(change(trace_bytes(HEADER, [Sent(at=0, message=message)], SECRETS).splitlines(True))))
    with pytest.raises(TraceError) as caught:
        read_trace(trace)
    assert said in str(caught.value)
