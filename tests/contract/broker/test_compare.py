"""What two records must agree in, and how a difference is told."""

from typing import Any

import pytest

from phrasim.contract.broker.compare import Place, apart
from phrasim.contract.broker.names import Names
from phrasim.contract.broker.words import asked, shortened, told

NOW = 1_800_000_000
ALONE = "on a connection of its own"


def death(queue: str, **more: Any) -> list[Any]:
    return ["F", {"queue": ["S", queue], "reason": ["S", "expired"], **more}]


def letter(*deaths: Any, **headers: Any) -> dict[str, Any]:
    return {
        "reply": [
            "basic.get-ok",
            {"redelivered": False},
            [{"headers": {"x-death": ["A", list(deaths)], **headers}}, ""],
        ]
    }


def closed(text: str, code: int = 404) -> dict[str, Any]:
    fields = {"reply_code": code, "reply_text": text, "class_id": 60, "method_id": 70}
    return {"events": [["connection 0 channel 1", "channel.close", fields]]}


def start(**fields: Any) -> dict[str, Any]:
    return {"transcript": [["connection.start", {"version_major": 0, "version_minor": 9, **fields}]]}


HONEST = {
    "the text of a reply": (closed("NOT_FOUND - no queue 'q0' in vhost '/'"), closed("no such queue")),
    "the time of a death": (
        letter(death("q0", time=["T", "about now"])),
        letter(death("q0", time=["T", NOW + 5000])),
    ),
    "the order of older deaths": (
        letter(death("q0"), death("q1"), death("q2")),
        letter(death("q0"), death("q2"), death("q1")),
    ),
    "headers of the last death": (letter(death("q0")), letter(death("q0"), **{"x-last-death-queue": ["S", "q0"]})),
    "what a broker tells of itself": (start(mechanisms=["PLAIN"]), start(mechanisms=["PLAIN", "ANONYMOUS"])),
    "the order of answers to several methods at once": (
        {"transcript": [[9, "channel.close", {}, None], [9, "channel.open-ok", {}, None]]},
        {"transcript": [[9, "channel.open-ok", {}, None], [9, "channel.close", {}, None]]},
    ),
    "the limits of a connection": (
        {"transcript": [[0, "connection.tune", {"frame_max": 131072}, None]]},
        {"transcript": [[0, "connection.tune", {"frame_max": 8192}, None]]},
    ),
}


@pytest.mark.parametrize("difference", HONEST)
def test_what_differs_between_honest_brokers_is_no_difference(difference: str) -> None:
    expected, came = HONEST[difference]
    assert apart([expected], [came], NOW) is None
    assert apart([expected], [came], NOW, strict=True) is not None


DISHONEST = {
    "a reply code": (closed("x"), closed("x", 405)),
    "the newest death": (letter(death("q0"), death("q1")), letter(death("q1"), death("q0"))),
    "a time of old": (letter(death("q0", time=["T", 1000])), letter(death("q0", time=["T", 2000]))),
    "the version of the protocol": (start(), start(version_minor=8)),
    "nothing": (closed("x"), {}),
}


@pytest.mark.parametrize("difference", DISHONEST)
def test_what_the_rules_say_is_a_difference(difference: str) -> None:
    assert apart([{}, DISHONEST[difference][0]], [{}, DISHONEST[difference][1]], NOW).step == 1


def test_a_run_that_ended_early_differs_where_it_ended() -> None:
    assert apart([{}, closed("x"), closed("x")], [{}], NOW).step == 1


def test_the_innermost_place_is_told() -> None:
    found = apart([letter(death("q0"))], [letter(death("q1"))], NOW)
    assert found.places == (Place(("reply", "basic.get-ok", "headers", "x-death", "queue"), "q0", "q1"),)
    place = "the answer, basic.get-ok, headers, x-death, queue"
    assert told(found) == (f'{place}: "q0"', f'{place}: "q1"')


def test_all_parts_of_a_record_that_differ_are_told() -> None:
    expected = {"reply": ["basic.get-ok", {}, None], "queues": {"q0": [1, 0]}}
    came = {"events": ["no answer", "nothing"], "queues": {"q0": [2, 0]}}
    queues, beside = "queues, [ready messages, consumers], q0", "what happened beside it"
    assert told(apart([expected], [came], NOW)) == (
        f'the answer: ["basic.get-ok", {{}}, null]; {queues}: [1, 0]; {beside}: nothing',
        f"the answer: nothing; {queues}: [2, 0]; {beside}: no answer; nothing",
    )


def test_lists_of_another_length_are_told_whole() -> None:
    one = ["basic.deliver", {"delivery_tag": 1}]
    found = apart([{"channel 0": [one]}], [{"channel 0": [one, one]}], NOW)
    assert found.places == (Place(("channel 0",), [one], [one, one]),)
    assert '"basic.deliver"' in told(found)[1]


def test_a_typed_value_is_told_without_its_type() -> None:
    found = apart([{"reply": {}}], [{"reply": {"h": ["S", "v"]}}], NOW)
    assert told(found) == ("the answer, h: nothing", 'the answer, h: "v"')


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"do": "wait"}, "wait until the short times to live are over"),
        ({"do": "drop", "on": 0}, "close the socket without a word"),
        ({"do": "handshake", "with": {}}, "a handshake with the account"),
        ({"do": "handshake", "with": {"user": "nobody"}}, "a handshake with user 'nobody'"),
        ({"do": "raw", "channel": 7, "method": "basic.get", "with": {}}, "basic.get on channel 7, which is not open"),
        (
            {"do": "alone", "after": "", "send": [{"bytes": "00"}]},
            f"{ALONE}, as its first words: the bytes 00",
        ),
        (
            {"do": "alone", "send": [{"kind": 8, "payload": ""}, {"method": "basic.get", "with": {"queue": ""}}]},
            f"{ALONE}, behind channel.open-ok: a frame of kind 8 on channel 1, then basic.get on channel 1 of queue ''",
        ),
        (
            {"do": "basic.publish", "with": {"exchange": "", "routing_key": "q0"}, "times": 2},
            "basic.publish with exchange '' with routing key q0, 2 times",
        ),
    ],
)
def test_a_step_is_told_in_words(step: dict[str, Any], words: str) -> None:
    assert asked(step, 6, 12) == f"step 7 of 12: {words}"


def test_long_texts_and_such_that_cannot_be_written_are_shown_so_that_they_can() -> None:
    assert shortened("a\udcffb") == "a\\udcffb"
    assert len(shortened("x" * 1000)) == 401


def test_names_are_shown_without_the_prefix_and_numbered() -> None:
    names = Names("run-")
    names.made("server-made-name", "amq.gen")
    names.made("abc", "amq.ctag")
    told_by_rabbitmq = "amq.ctag-0123456789012345678901"
    value = {"run-q0": ["server-made-name", told_by_rabbitmq, ("abc", 1)]}
    assert names.shown_in(value) == {"q0": ["amq.gen-1", "amq.ctag-2", ["abc", 1]]}
