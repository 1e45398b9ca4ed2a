"""Faults as they are written: read, written again, and what is said of one that is wrong."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.documents import contract, specification
from phrasim.edge.fault_reading import EFFECTS, fault_of, fault_problem, fault_value
from phrasim.edge.faults import Answer, CutBody, Delay, DropReply, Duplicate, Effect, Fault, Refuse

effects: st.SearchStrategy[Effect] = st.one_of(
    st.just(Refuse()),
    st.just(Duplicate()),
    st.just(DropReply()),
    st.builds(Answer, st.integers(400, 599)),
    st.builds(Delay, st.floats(0, 100 * 86_400)),
    st.builds(CutBody, st.integers(0, 1024**4)),
)
faults = st.builds(
    Fault,
    st.sampled_from(list(contract("documented").operations)),
    effects,
    st.lists(st.integers(1, 99), max_size=4).map(tuple),
)


def violations(value: Any) -> list[str]:
    operation = specification("control.yaml").operations["addFault"]
    return [str(violation) for violation in operation.request_violations("application/json", value)]


@given(faults)
def test_a_fault_that_was_written_is_read_back_and_fits_the_schema(fault: Fault) -> None:
    value = fault_value(fault)
    assert violations(value) == []
    assert fault_problem(value, contract("documented")) is None
    assert fault_of(value) == fault


def test_a_fault_is_written_as_a_scenario_has_it() -> None:
    assert fault_value(Fault("listCommits", Delay(0.5), (1, 3))) == {
        "operationId": "listCommits",
        "occurrences": [1, 3],
        "delay": "0.5 s",
    }
    assert fault_value(Fault("downloadAsset", CutBody(4096))) == {
        "operationId": "downloadAsset",
        "cutBody": {"after": "4 KiB"},
    }


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({}, f"a fault has one effect ({', '.join(EFFECTS)}); this one has no effect"),
        (
            {"refuse": True, "delay": "1 s"},
            f"a fault has one effect ({', '.join(EFFECTS)}); this one has refuse and delay",
        ),
        ({"delay": "2401 h"}, "delay: a delay is at most 100 d; found 2401 h"),
        ({"delay": f"{'9' * 5000} d"}, f"delay: a delay is at most 100 d; found {'9' * 20}…"),
        (
            {"cutBody": {"after": f"{'9' * 5000} B"}},
            f"cutBody/after: a body is cut after 1024 GiB at most; found {'9' * 20}…",
        ),
    ],
)
def test_a_fault_without_sense_is_told(written: dict[str, Any], said: str) -> None:
    value = {"operationId": "listCommits", **written}
    assert violations(value) == []
    assert str(fault_problem(value, contract("documented"))) == said


def test_a_name_that_is_not_known_is_told_with_the_nearest() -> None:
    (operation,) = violations({"operationId": "downloadAssets", "refuse": True})
    assert operation.startswith("operationId: 'downloadAssets' is not one of 'uploadAsset', ")
    assert operation.endswith("; did you mean 'downloadAsset'?")
    assert violations({"operationId": "getAsset", "refuses": True}) == [
        "refuses: this field is not known here; did you mean 'refuse'?"
    ]
