"""The recorded programs: read and written, put in their place on a broker, and good for a broker that others use."""

import re

import pytest

from contract.broker.conftest import RECORDED
from phrasim.broker.amqp.url import BrokerUrl
from phrasim.contract.broker.programs import (
    NAME,
    Difference,
    Recorded,
    made_by,
    names_in,
    one_by_one,
    placed,
    read_program,
    written,
)
from phrasim.documents import broker_programs_folder

ME = BrokerUrl("host", user="me", password="sesame", vhost="mine")
SYSTEM = re.compile(r"amq\.(direct|fanout|topic|headers|match)")
LOOKED_AT = {"queue.bind", "queue.unbind", "exchange.bind", "exchange.unbind", "exchange.declare"}
"""What is done with the exchanges that every broker has: nothing that others would notice."""


@pytest.mark.parametrize("recorded", RECORDED.values(), ids=RECORDED.keys())
def test_a_recorded_program_is_as_its_file_has_it(recorded: Recorded) -> None:
    path = broker_programs_folder() / f"{recorded.name}.json"
    assert written(recorded) == path.read_text(encoding="utf-8")
    assert read_program(path) == recorded
    assert re.fullmatch(r"[A-Za-z].+[^.]", recorded.about)
    assert re.fullmatch(r"RabbitMQ \d+\.\d+\.\d+", recorded.recorded_from)
    assert len(recorded.expected) == len(recorded.program)
    assert any(recorded.expected)


@pytest.mark.parametrize("recorded", RECORDED.values(), ids=RECORDED.keys())
def test_a_recorded_program_touches_nothing_that_others_have(recorded: Recorded) -> None:
    calls = [(step["do"], step["with"]) for step in recorded.program if "with" in step and step["do"] != "handshake"]
    for step in recorded.program:
        calls += [(sent["method"], sent.get("with", {})) for sent in step.get("send", ()) if "method" in sent]
    for method, fields in calls:
        for key in ("queue", "exchange", "source", "destination"):
            name = fields.get(key, "")
            if SYSTEM.fullmatch(name):
                assert method in LOOKED_AT
                continue
            # An exchange of the broker's own, which takes nothing from anybody.
            assert not name or NAME.fullmatch(name) or name == "amq.rabbitmq.trace", (method, fields)
        if method == "basic.publish" and not fields.get("exchange"):
            assert not fields["routing_key"] or NAME.fullmatch(fields["routing_key"])
        arguments = fields.get("arguments", {})
        for key in ("x-dead-letter-exchange", "alternate-exchange"):
            kind, name = arguments.get(key, ["S", ""])
            assert kind != "S" or not name or NAME.fullmatch(name)


def test_names_and_the_words_of_the_account_are_put_in_their_places() -> None:
    step = {
        "do": "basic.publish",
        "with": {"exchange": "", "routing_key": "q0", "queue": "amq.new"},
        "properties": {"user_id": "{user}", "headers": {"CC": ["A", [["S", "x1"], ["S", "other"]]]}},
        "send": [{"payload": ["00", {"name": "absent"}], "with": {"response": "\0{user}\0{password}", "n": 1}}],
        "body": "q0",
    }
    assert placed(step, "pre-", ME) == {
        "do": "basic.publish",
        "with": {"exchange": "", "routing_key": "pre-q0", "queue": "amq.pre-new"},
        "properties": {"user_id": "me", "headers": {"CC": ["A", [["S", "pre-x1"], ["S", "other"]]]}},
        "send": [{"payload": ["00", {"name": "pre-absent"}], "with": {"response": "\0me\0sesame", "n": 1}}],
        "body": "q0",
    }
    assert list(names_in(step["send"])) == ["absent"]


def test_what_a_step_may_leave_is_named() -> None:
    bind = {"do": "exchange.bind", "with": {"source": "x0", "destination": "x1", "routing_key": "q0"}}
    assert set(made_by(bind)) == {("exchange", "x0"), ("exchange", "x1")}
    alone = {"do": "alone", "send": [{"method": "queue.declare", "with": {"queue": "q9"}}]}
    assert set(made_by(alone)) == {("queue", "q9"), ("exchange", "q9")}
    assert list(made_by({"do": "exchange.declare", "with": {"exchange": "amq.direct"}})) == []


@pytest.mark.parametrize(
    ("version", "differs"),
    [
        ("3.10.8", False),
        ("3.12.14", False),
        ("3.13.0", True),
        ("3.13.2", True),
        ("3.13.3", False),
        ("3.13.7", False),
        ("4.0.0-rc.1", True),
        ("4.1.4", True),
        ("5.0.0", True),
        ("", False),
        ("three", False),
    ],
)
def test_a_version_is_in_the_range_that_differs_or_not(version: str, differs: bool) -> None:
    assert Difference("3.13.0-3.13.2, 4-", "H14").is_in(version) is differs


def test_messages_published_at_once_may_be_published_one_by_one() -> None:
    program = [{"do": "basic.publish", "times": 2}, {"do": "wait"}]
    assert one_by_one(program) == [{"do": "basic.publish", "times": 1}] * 2 + [{"do": "wait"}]
