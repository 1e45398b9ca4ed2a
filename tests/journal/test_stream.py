"""A trace that is written as it comes: the bytes of one that is written at the end, whole lines whatever fails."""

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.journal import stream
from phrasim.journal.events import Body, Event, Header, Noted, Request, Sent
from phrasim.journal.lines import read_trace, trace_bytes
from phrasim.journal.stream import TraceStream

SECRETS = frozenset({"token"})
HEADER = Header(
    version="1",
    wire="loopback",
    external=("phraseanet", "broker"),
    profile="documented",
    seed=1,
    tokens="redacted",
    scenario="",
    files=(),
)


def event(number: int) -> Event:
    if number % 3 == 0:
        return Noted(at=number, by="upload", note="kept ☃", details={"token": "t0k3n", "number": number})
    return Sent(
        at=number,
        message=Request(
            id=f"user-{number}",
            sender="user",
            receiver="upload",
            method="POST",
            target="/a?token=t0k3n",
            headers=(("authorization", "Bearer t0k3n"),),
            body=Body(length=20, json={"token": "t0k3n", "number": number}),
        ),
    )


class Turns:
    """A loop's `call_soon`, whose turns the test takes."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def soon(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class Opened:
    """A stream, its loop, and the failures that it told."""

    def __init__(self, path: Path, header: Header = HEADER) -> None:
        self.turns = Turns()
        self.told: list[OSError] = []
        self.stream = TraceStream(path, header, SECRETS, self.turns.soon, self.told.append)


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """A limit that the system holds: what goes beyond it fails half-way, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone, whatever they lead to


@given(st.lists(st.booleans(), max_size=20), st.sampled_from(["redacted", "shown"]))
def test_the_bytes_are_those_of_a_trace_that_is_written_at_the_end(
    tmp_path_factory: pytest.TempPathFactory, turns: list[bool], tokens: str
) -> None:
    header = msgspec.structs.replace(HEADER, tokens=tokens)
    path = tmp_path_factory.getbasetemp() / "stream.jsonl"
    opened = Opened(path, header)
    events = [event(number) for number in range(len(turns))]
    for number, ends_turn in enumerate(turns):
        opened.stream.take(events[number])
        if ends_turn:
            opened.turns.turn()
            assert path.read_bytes() == trace_bytes(header, events[: number + 1], SECRETS)
    opened.stream.close()
    assert path.read_bytes() == trace_bytes(header, events, SECRETS)
    assert (opened.stream.failed, opened.told) == (None, [])


def test_a_turn_writes_once_however_much_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    written = stream._write_whole
    monkeypatch.setattr(stream, "_write_whole", lambda *words: (writes.append(1), written(*words)))
    opened = Opened(tmp_path / "t.jsonl")
    for number in range(5):
        opened.stream.take(event(number))
    assert len(opened.turns.calls) == 1
    opened.turns.turn()
    assert len(writes) == 2
    opened.stream.close()
    assert len(writes) == 2


def test_a_closed_stream_takes_nothing_more_and_leaves_no_descriptor(tmp_path: Path) -> None:
    before = open_descriptors()
    opened = Opened(tmp_path / "t.jsonl")
    opened.stream.take(event(1))
    opened.stream.close()
    opened.stream.take(event(2))
    opened.turns.turn()
    opened.stream.close()
    assert (tmp_path / "t.jsonl").read_bytes() == trace_bytes(HEADER, [event(1)], SECRETS)
    assert open_descriptors() == before


def test_what_was_at_the_path_is_emptied_and_a_link_stays(tmp_path: Path) -> None:
    (tmp_path / "there.jsonl").write_bytes(b"old " * 1000)
    (tmp_path / "link").symlink_to("there.jsonl")
    Opened(tmp_path / "link").stream.close()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there.jsonl").read_bytes() == trace_bytes(HEADER, (), SECRETS)


@pytest.mark.parametrize("over", range(1, 200, 13))
def test_when_the_disk_is_full_the_file_ends_with_a_whole_line_and_that_is_told_once(tmp_path: Path, over: int) -> None:
    path, before = tmp_path / "t.jsonl", open_descriptors()
    opened = Opened(path)
    opened.stream.take(event(0))
    opened.turns.turn()
    whole = path.read_bytes()
    with no_file_longer_than(len(whole) + over):
        for number in (1, 2):
            opened.stream.take(event(number))
        opened.turns.turn()
        opened.stream.take(event(3))
        opened.turns.turn()
        opened.stream.close()
    lines = trace_bytes(HEADER, [event(number) for number in range(3)], SECRETS)
    assert lines.startswith(path.read_bytes())
    assert path.read_bytes().startswith(whole)
    assert path.read_bytes().endswith(b"\n")
    read_trace(path)
    assert [error.errno for error in opened.told] == [errno.EFBIG]
    assert opened.stream.failed is opened.told[0]
    assert open_descriptors() == before


def test_what_closing_cannot_write_is_told(tmp_path: Path) -> None:
    opened = Opened(Path("/dev/null"))
    os.close(opened.stream._descriptor)
    opened.stream.close()
    assert [error.errno for error in opened.told] == [errno.EBADF]
    gone = Opened(Path("/dev/null"))
    os.close(gone.stream._descriptor)
    gone.stream.take(event(0))
    gone.turns.turn()
    gone.stream.close()
    assert [error.errno for error in gone.told] == [errno.EBADF]
    full = Opened(tmp_path / "t.jsonl")
    full.stream.take(event(0))
    with no_file_longer_than(1):
        full.stream.close()
    assert [error.errno for error in full.told] == [errno.EFBIG]
    assert read_trace(tmp_path / "t.jsonl") == (HEADER, [])


@pytest.mark.parametrize(
    ("name", "number"), [("nowhere/t.jsonl", errno.ENOENT), (".", errno.EISDIR), ("/dev/full", errno.ENOSPC)]
)
def test_what_cannot_be_opened_or_takes_no_header_is_refused_at_once(tmp_path: Path, name: str, number: int) -> None:
    before = open_descriptors()
    with pytest.raises(OSError, match=r".") as raised:
        Opened(tmp_path / name)
    assert raised.value.errno == number
    assert open_descriptors() == before


def test_a_fifo_that_nobody_reads_is_refused_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="nobody reads this FIFO; start its reader first") as raised:
        Opened(tmp_path / "fifo")
    assert raised.value.errno == errno.ENXIO


def test_a_fifo_is_written_to_until_its_reader_leaves(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    opened = Opened(fifo)
    opened.stream.take(event(0))
    opened.turns.turn()
    assert os.read(reading, 10_000) == trace_bytes(HEADER, [event(0)], SECRETS)
    os.close(reading)
    opened.stream.take(event(1))
    opened.turns.turn()
    assert isinstance(opened.stream.failed, BrokenPipeError)
    assert fifo.is_fifo()


@pytest.mark.parametrize("piped", [False, True])
def test_standard_output_is_shared_with_what_the_process_prints(tmp_path: Path, piped: bool) -> None:
    program = (
        "from pathlib import Path; from phrasim.journal.events import Header, Noted;"
        "from phrasim.journal.stream import TraceStream;"
        "header = Header(version='1', wire='loopback', profile='p', seed=1, tokens='shown', scenario='', files=());"
        "print('printed', flush=True);"
        "stream = TraceStream(Path('/dev/stdout'), header, set(), lambda call: call(), print);"
        "print('between', flush=True);"
        "stream.take(Noted(at=0, by='auth', note='n')); stream.close(); print('after')"
    )
    path = tmp_path / "out.txt"
    if piped:
        path.write_bytes(subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True).stdout)
    else:
        with path.open("wb") as file:
            subprocess.run([sys.executable, "-c", program], stdout=file, check=True)
    printed, header, between, line, after = path.read_text().splitlines()
    assert (printed, between, after) == ("printed", "between", "after")
    assert header.startswith('{"trace":1,')
    assert line == '{"event":"noted","at":0,"by":"auth","note":"n"}'
