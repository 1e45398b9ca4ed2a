"""Spoilt streams, thousands without sockets and some hundreds with; `fuzz.py` plays them for as long as one likes."""

import random
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pika
import pytest
from pamqp.commands import Basic, Channel, Connection

sys.path.insert(0, str(Path(__file__).parents[2]))

from broker.amqp.arena import (
    SMALL,
    SMALL_ON_SOCKETS,
    Answers,
    Arena,
    Fault,
    check_served,
    errors_of,
    played_on_a_socket,
    unfinished,
)
from broker.amqp.fuzzing import CHANGES, HEAD, HEADER, METHOD, Case, kept, raw_frame, recorded, spoilt
from phrasim.broker.amqp.dispatch import OPERATIONS
from phrasim.broker.amqp.settings import Settings

pytestmark = pytest.mark.unmeasured

STREAMS = Path(__file__).parent / "streams"

REFUSED = {
    "refused": ["channel.close 404", "channel.close 403", "channel.close 404", "connection.close 540"],
    "transaction": ["connection.close 540"],
    "taken back": ["connection.close 540"],
    "confirms": ["basic.return 312"],
}


def methods_in(frames: list[bytes]) -> set[int]:
    """The class and method ids of the methods in frames, as pamqp's index."""
    return {int.from_bytes(one[7:11]) for one in frames if one[0] == METHOD and one != HEADER}


def test_the_recorded_conversations_have_every_method_that_a_client_has() -> None:
    """Those that `dispatch` knows, and those of the connection and of contents, which others read."""
    elsewhere = {
        Connection.StartOk, Connection.TuneOk, Connection.Open, Connection.UpdateSecret, Connection.Close,
        Connection.CloseOk, Channel.Open, Channel.Close, Channel.CloseOk,
        Basic.Publish, Basic.Get, Basic.Ack, Basic.Nack, Basic.Reject,
    }  # fmt: skip
    found = set().union(*map(methods_in, recorded().values()))
    assert [command.name for command in {**OPERATIONS, **dict.fromkeys(elsewhere)} if command.index not in found] == []


@pytest.mark.parametrize("settings", [Settings(), SMALL])
@pytest.mark.parametrize("name", [name for name in recorded() if name != "access"])
def test_a_recorded_conversation_is_answered_as_it_should_be(name: str, settings: Settings) -> None:
    assert Arena(settings).play(Case(tuple(recorded()[name]), ())) == [*REFUSED.get(name, []), "ended closed"]


@pytest.mark.parametrize("settings", [Settings(), SMALL])
def test_no_spoilt_stream_raises_hangs_or_leaves_something_behind(settings: Settings) -> None:
    arena = Arena(settings)
    chance = random.Random(20261122)
    met: Counter[str] = Counter()
    changes: set[str] = set()
    for _ in range(3_000):
        case = spoilt(chance)
        changes.update(case.changes)
        met.update(arena.play(case))
    arena.check_end()
    assert changes == set(CHANGES)
    codes = {int(name.split()[1]) for name in met if not name.startswith("ended")}
    assert codes >= {312, 403, 404, 405, 406, 501, 503, 504, 505, 530, 540}
    assert set(met) >= {"ended closed", "ended closing", "ended running", "ended starting"}


@pytest.mark.parametrize("path", sorted(STREAMS.glob("*.hex")), ids=lambda path: path.stem)
@pytest.mark.parametrize("settings", [Settings(), SMALL])
def test_a_stream_that_once_was_too_much_is_not_any_more(path: Path, settings: Settings) -> None:
    arena = Arena(settings)
    arena.play(kept(path.read_text(encoding="ascii")))
    arena.check_end()


def test_spoilt_streams_on_sockets_leave_a_server_as_it_was(serve: Any) -> None:
    chance = random.Random(7)
    for settings in (Settings(), SMALL_ON_SOCKETS):
        served = serve(**asdict(settings))
        errors = errors_of(served)
        met: Counter[str] = Counter()
        for _ in range(5):
            for _ in range(50):
                met.update(played_on_a_socket(("127.0.0.1", served.port), spoilt(chance), chance))
            check_served(served)
            publish_and_get(served.port)
        assert errors == []
        assert {int(name.split()[1]) for name in met} >= {404, 501, 504, 505, 540}


def publish_and_get(port: int) -> None:
    """What a client does that we did not write."""
    with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("q", exclusive=True)
        channel.basic_publish("", "q", b"body", mandatory=True)
        assert channel.basic_get("q", auto_ack=True)[2] == b"body"


def test_the_same_seed_gives_the_same_cases_and_a_kept_one_comes_back() -> None:
    one, other = random.Random(3), random.Random(3)
    for _ in range(50):
        case = spoilt(one)
        assert spoilt(other) == case
        assert kept(case.hex()).pieces == case.pieces


@pytest.mark.parametrize("end", [0, 3, 8, 9, 11, 14, 15, 16, 30])
def test_what_is_missing_of_a_frame_ends_it(end: int) -> None:
    stream = (HEADER + raw_frame(METHOD, 1, bytes(20)) + raw_frame(8, 0, b""))[:end]
    whole = stream + unfinished(stream)
    assert whole[:8] == HEADER
    if len(whole) > 8:
        assert HEAD.unpack_from(whole, 8)[2] == len(whole) - 16
        assert whole[-1] == 0xCE


@pytest.mark.parametrize(
    "answers",
    [
        b"AMQP\0\0\x09\x01\0",
        b"AMQP\1\1\0\x09",
        raw_frame(METHOD, 1, b"\0\x3c\0\x3c"),  # cut off
        raw_frame(METHOD, 0, b"\0\x14\0\x0b\0\0\0\0"),  # a method of channels
        raw_frame(METHOD, 0, b"\0\x0a\0\x1f" + bytes(8)),  # one that only clients have
        raw_frame(METHOD, 1, b"\0\x3c\0\x48\0") + raw_frame(3, 1, b"x"),  # a body of nothing
        raw_frame(2, 1, bytes(14)),
        raw_frame(8, 1, b""),
        raw_frame(9, 0, b""),
        raw_frame(METHOD, 0, b"\0\x0a\0\x33") * 2,
        raw_frame(METHOD, 1, b"\0\x14\0\x29") + raw_frame(METHOD, 1, b"\0\x3c\0\x48\0"),
        raw_frame(METHOD, 1, b"\0\x3c\0\x32\x01\x38\0\0\0"),  # a message without its content
        b"\1\0\0\0\0",
    ],
)
def test_answers_that_are_wrong_are_noticed(answers: bytes) -> None:
    heard = Answers()
    with pytest.raises(Fault):
        heard.take(answers)
        heard.done()
