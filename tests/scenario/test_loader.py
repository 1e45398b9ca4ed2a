"""Scenarios from YAML: what is read, and what is said of one that is wrong, with its file and line."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.documents import CONTRACTS, DocumentError, contract, load, scenarios_folder
from phrasim.edge.fault_reading import EFFECTS
from phrasim.edge.faults import Answer, CutBody, Delay, DropReply, Duplicate, Fault, Refuse
from phrasim.scenario.loader import ScenarioError, load_scenario, parse_scenario
from phrasim.scenario.model import Call, TokenBearer, Wait, WaitFor

FULL = """\
scenario: full
summary: Every key that a scenario may have.
document: docs/request-flow.md#push-mode
profile: documented
wires: [in-process]
why: It waits.
mode: both
given:
  publisher:
    email: p@example.org
    name: Zoë
  files:
    a.png:
      path: media/test.png
    b.png:
      size: 12 KiB
      mimeType: image/png
  tokenLifetime: 60 s
  pollInterval: 500 ms
  uploadSizeMax: 1 MiB
  notificationFields: [assets, token]
faults:
  - operationId: downloadAsset
    occurrences: [1, 3]
    answer:
      status: 503
  - operationId: enqueueAssets
    refuse: true
  - operationId: enqueueAssets
    duplicate: true
  - operationId: listCommits
    delay: 5 s
  - operationId: acknowledgeCommit
    dropReply: true
  - operationId: downloadAsset
    cutBody:
      after: 4 KiB
steps:
  - stepId: upload
    description: The files go up.
    operationId: uploadAsset
    forEach: $given.files
    file: $each
    outputs:
      asset: $response.body#/id
  - stepId: commit
    operationId: commitAssets
    as:
      bearer: abc
    body:
      files: $steps.upload.outputs.asset
    successCriteria:
      - condition: $statusCode == 401
  - stepId: acknowledge
    operationId: acknowledgeCommit
    as:
      assetToken: $steps.upload.outputs.asset#/0
    parameters:
      id: $steps.upload.outputs.asset#/0
  - stepId: pause
    wait: 1.5 min
  - stepId: wait-for-it
    waitFor:
      operationId: getAsset
      occurrence: 2
      within: 1 h
    outputs:
      id: $request.path.id
expect:
  sequence:
    unreachable: [Acknowledge of upload commit]
    missing: [Get contents]
    repeated: [Notify there is a new asset]
  records: none
  commits:
    count: 0
    acknowledged: 0
  executions: 2
  queues:
    assetsIngest: 1
  refusals:
    commitAssets: [401]
"""
FOLDER = scenarios_folder()
SHIPPED = sorted(FOLDER.glob("*.yaml"))
FREE = {"files", "outputs", "parameters", "queues", "refusals", "body"}
"""Keys whose own keys are anybody's choice, or names with a rule of their own."""


def problems(text: str) -> list[str]:
    """What is said of a text that is no scenario."""
    with pytest.raises(ScenarioError) as raised:
        parse_scenario(text, "s.yaml", FOLDER)
    assert str(raised.value) == "\n".join(map(str, raised.value.problems))
    return list(map(str, raised.value.problems))


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def test_every_key_is_read() -> None:
    scenario = parse_scenario(FULL, "full.yaml", FOLDER)
    assert (scenario.name, scenario.mode, scenario.profile, scenario.wires) == (
        "full",
        "both",
        "documented",
        ("in-process",),
    )
    assert (scenario.text, scenario.file, scenario.why) == (FULL, "full.yaml", "It waits.")
    given = scenario.given
    assert (given.publisher_email, given.publisher_name) == ("p@example.org", "Zoë")
    assert [(file.name, file.path, file.size, file.mime_type) for file in given.files] == [
        ("a.png", "media/test.png", 0, "application/octet-stream"),
        ("b.png", None, 12_288, "image/png"),
    ]
    assert (given.token_lifetime, given.poll_interval, given.upload_size_max) == (60, 0.5, 1_048_576)
    assert given.notification_fields == ("assets", "token")
    assert scenario.faults == (
        Fault("downloadAsset", Answer(503), (1, 3)),
        Fault("enqueueAssets", Refuse()),
        Fault("enqueueAssets", Duplicate()),
        Fault("listCommits", Delay(5)),
        Fault("acknowledgeCommit", DropReply()),
        Fault("downloadAsset", CutBody(4096)),
    )
    upload, commit, acknowledge, pause, wait_for = scenario.steps
    assert isinstance(upload, Call)
    assert (upload.for_each_file, upload.caller, upload.has_body) == (True, "publisher", False)
    assert isinstance(commit, Call)
    assert commit.caller == TokenBearer("Bearer", "abc")
    assert commit.conditions == ("$statusCode == 401",)
    assert (commit.body, commit.has_body) == ({"files": "$steps.upload.outputs.asset"}, True)
    assert isinstance(acknowledge, Call)
    assert acknowledge.caller == TokenBearer("AssetToken", "$steps.upload.outputs.asset#/0")
    assert pause == Wait("pause", 90)
    assert wait_for == WaitFor("wait-for-it", "getAsset", 2, 3600, {"id": "$request.path.id"})
    assert scenario.expect.sequence == {
        "unreachable": ("Acknowledge of upload commit",),
        "missing": ("Get contents",),
        "repeated": ("Notify there is a new asset",),
    }
    assert scenario.expect.refusals == {"commitAssets": (401,)}


def test_what_is_absent_has_its_default() -> None:
    text = "scenario: a\nsummary: b\nmode: off\nsteps: [{stepId: w, wait: 1 s}]\nexpect: {records: none}\n"
    scenario = parse_scenario(text, "a.yaml")
    assert (scenario.document, scenario.profile, scenario.wires, scenario.why) == (
        None,
        "documented",
        ("in-process", "loopback"),
        None,
    )
    assert (scenario.faults, scenario.given.files, scenario.given.token_lifetime) == ((), (), None)
    assert (scenario.expect.sequence, scenario.expect.executions, scenario.expect.commits) == (None, None, {})


def test_the_operations_of_the_schema_are_those_of_the_specifications() -> None:
    schema = json.loads((FOLDER / "scenario.schema.json").read_text())
    known = {name for profile in CONTRACTS for name in contract(profile).operations}
    assert set(schema["$defs"]["operationId"]["enum"]) == known


def test_the_effects_of_the_schema_are_those_of_the_loader() -> None:
    schema = json.loads((FOLDER / "scenario.schema.json").read_text())
    assert set(schema["$defs"]["fault"]["properties"]) - {"operationId", "occurrences"} == set(EFFECTS)


@pytest.mark.parametrize(
    ("old", "new", "at", "said"),
    [
        ("mode: both", "mode: bath", "mode:", "mode: 'bath' is not one of 'push', 'pull', 'both', 'off'"),
        ("scenario: full", "scenario: Full One", "scenario:", "lower-case words joined by hyphens"),
        ("why: It waits.\n", "", "wires:", "'wires' stands here without 'why'"),
        ("wires: [in-process]", "wires: [in-process, in-process]", "wires", "the wires on which the scenario makes"),
        ("wait: 1.5 min", "wait: 90", "wait: 90", "steps.3.wait: 90 is not a string; a time with its unit: 500 ms"),
        ("wait: 1.5 min", "wait: 90 sec", "wait: 90", "a time with its unit: 500 ms, 30 s, 5 min, 2 h, 1 d"),
        (
            "wait: 1.5 min",
            "wait: 3651 d",
            "wait: 3651",
            "steps.3.wait: with 3651 d the scenario waits for more than 100 d",
        ),
        (
            "delay: 5 s",
            "delay: 99999999999999999999 d",
            "delay:",
            "a delay is at most 100 d; found 99999999999999999999 d",
        ),
        (
            "within: 1 h",
            "within: 90000 h",
            "within:",
            "steps.4.waitFor.within: with 90000 h the scenario waits for more than 100 d",
        ),
        ("tokenLifetime: 60 s", "tokenLifetime: 500 ms", "tokenLifetime", "500 ms is not a whole number of seconds"),
        ("pollInterval: 500 ms", "pollInterval: 0 s", "pollInterval", "no time would ever pass between two polls"),
        ("size: 12 KiB", "size: 12 kB", "size: 12", "a size with its unit: 10 B, 148 KiB, 64 MiB, 1 GiB"),
        (
            "size: 12 KiB",
            "size: 65 GiB",
            "size: 65",
            "given.files.b.png.size: a made file has at most 64 GiB; found 65",
        ),
        ("size: 12 KiB", "size: 100000 GiB", "size: 1", "a made file has at most 64 GiB; found 100000 GiB"),
        ("size: 12 KiB", f"size: {'9' * 5000} B", "size: 9", f"at most 64 GiB; found {'9' * 20}…"),
        (
            "summary: Every key that a scenario may have.",
            'summary: "A\\abell"',
            "summary:",
            r"summary: the character '\x07' is in it; write one line of plain text",
        ),
        (
            "summary: Every key that a scenario may have.",
            "summary: |\n  Two\n  lines",
            "summary:",
            r"summary: the character '\n' is in it; write one line of plain text",
        ),
        (
            "    assetsIngest: 1",
            "    assetIngest: 1",
            "assetIngest",
            "has no queue 'assetIngest'; did you mean 'assetsIngest'?",
        ),
        (
            "    assetsIngest: 1",
            "    other: 1",
            "other",
            "no queue 'other'; known are assetsIngest, assetsIngest_retry, assetsIngest_failed",
        ),
        ("email: p@example.org", "email: nobody", "email", "given.publisher.email: 'nobody' is not an e-mail address"),
        ("refuse: true", "refuse: false", "refuse", "false is not true; the connection is refused"),
        ("status: 503", "status: 200", "status", "200 is less than 400"),
        ("    refuse: true\n", "", "- operationId: enqueueAssets", "a fault has one effect (refuse, duplicate, delay"),
        (
            "    refuse: true",
            "    refuse: true\n    dropReply: true",
            "- operationId: enqueueAssets",
            "refuse and drop",
        ),
        ("      path: media/test.png", "      mimeType: image/png", "a.png", "a file has a path, or a size"),
        ("      size: 12 KiB", "      size: 12 KiB\n      path: x", "b.png", "a file has a path, or a size"),
        (
            "    wait: 1.5 min\n",
            "",
            "- stepId: pause",
            "a step has one of operationId, waitFor, wait; this one has none",
        ),
        (
            "    wait: 1.5 min",
            "    wait: 1 s\n    operationId: listCommits",
            "- stepId: pause",
            "has operationId and wait",
        ),
        ("stepId: commit", "stepId: upload", "stepId: upload\n    operationId: commit", "a stepId names one step"),
        (
            "wait: 1.5 min",
            "wait: 1 s\n    outputs: {a: $statusCode}",
            "outputs: {a",
            "has no meaning in a step with 'wait'",
        ),
        ("    file: $each\n", "", "- stepId: upload", "forEach: $given.files, and file: $each"),
        ("asset: $response.body#/id", "asset: id", "asset: id", "'id' does not match"),
        (
            "asset: $response.body#/id",
            "asset: $response.bdy",
            "outputs:\n      asset",
            "this is no expression; there are",
        ),
        ("files: $steps.upload.outputs.asset", "files: $steps.upload.outputs.ast", "body:", "(it keeps asset)"),
        ("files: $steps.upload.outputs.asset", "files: $response.body", "body:", "the call is not made yet here"),
        ("files: $steps.upload.outputs.asset", "files: .nan", "files: .nan", "nan is no number that JSON can hold"),
        ("files: $steps.upload.outputs.asset", "files: [[.inf]]", "files: [[", "inf is no number that JSON can hold"),
        ("files: $steps.upload.outputs.asset", "5: five", "5: five", "the key 5 is no text; write it in quotes"),
        ("condition: $statusCode == 401", "condition: is 401", "condition: is", "'is 401' is no condition"),
        (
            "      bearer: abc",
            "      bearer: abc\n      assetToken: abc",
            "as:\n",
            "bearer, assetToken, oauth, apiKey is wanted here; there are",
        ),
        ("      bearer: abc", "      bearr: abc", "bearr", "the key 'bearr' is not known here; did you mean 'bearer'?"),
        (
            "    as:\n      bearer: abc",
            "    as: {}",
            "as: {}",
            "bearer, assetToken, oauth, apiKey is wanted here; there is none",
        ),
        (
            "    as:\n      bearer: abc",
            "    as: admin",
            "as: admin",
            "steps.1.as: 'admin' is not right here; write 'publisher',",
        ),
        ("    as:\n      bearer: abc", "    as: 3", "as: 3", "or an object with 'bearer' or 'assetToken'"),
        (
            "    as:\n      bearer: abc",
            "    as: [nobody]",
            "as: [",
            "steps.1.as: a list is not right here; write 'publisher',",
        ),
        (
            "      occurrence: 2",
            "      occurrence: twice",
            "occurrence:",
            "occurrence: 'twice' is not right here; write 'each file', or a whole number from 1 on",
        ),
        ("  executions: 2", "  executions: often", "executions:", "write a whole number from 0 on, or an object"),
        ("    as:\n      bearer: abc", "    as: {bearer: 3}", "as: {", "steps.1.as.bearer: 3 is not a string"),
        ("  records: none", "  records: some", "records:", "'some' is not one of"),
        ("commitAssets: [401]", "commitAsset: [401]", "refusals:", "a key is wrong: 'commitAsset' is not one of"),
        ("commitAssets: [401]", "commitAssets: [200]", "commitAssets: [200]", "200 is less than 400"),
        (
            "  queues:\n    assetsIngest: 1\n",
            "  queues: {}\n",
            "queues",
            "expect.queues: an entry is wanted here; there is none",
        ),
        ("missing: [Get contents]", "missing: []", "missing", "expect.sequence.missing: the list is empty"),
        (
            "missing: [Get contents]",
            "missing: [Get content]",
            "missing",
            "no arrow of the section is called 'Get content'",
        ),
        ("missing: [Get contents]", "missing: [Get content]", "missing", "did you mean 'Get contents"),
        ("document: docs/request-flow.md#push-mode\n", "", "sequence:", "only of a scenario that names its document"),
        (
            "#push-mode",
            "#push",
            "document:",
            "looking for the sequence of #push: the document has #push-mode, #pull-mode",
        ),
        ("request-flow.md", "request_flow.md", "document:", "there is no such document; looked for"),
        (
            "id: $steps.upload.outputs.asset#/0",
            "di: $steps.upload.outputs.asset#/0",
            "parameters:",
            "parameters are id; found di",
        ),
        (
            "    operationId: commitAssets",
            "    operationId: commitAssets\n    parameters: {id: x}",
            "parameters: {",
            "are none; found id",
        ),
        (
            "    parameters:\n      id: $steps.upload.outputs.asset#/0\n",
            "",
            "- stepId: acknowledge",
            "are id; found none",
        ),
        ("mode: both", "mode: both\nmode: off", "mode: off", "the key 'mode' stands here a second time"),
        ("mode: both", "mode: [", "publisher:", "this is not YAML"),
        ("mode: both", "? [a]\n: b", "? [a]", "a key must be a plain word"),
    ],
)
def test_what_is_wrong_is_told_at_its_line(old: str, new: str, at: str, said: str) -> None:
    assert FULL.count(old) >= 1
    text = FULL.replace(old, new, 1)
    found = problems(text)
    assert any(said in problem for problem in found), found
    assert any(problem.startswith(f"s.yaml:{line_of(text, at)}: ") for problem in found), found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "s.yaml:1: the scenario: null is not an object"),
        ("just text", "s.yaml:1: the scenario: 'just text' is not an object"),
        ("[1, 2]", "s.yaml:1: the scenario: an array is not an object"),
        ("5: x", "s.yaml:1: the key 5 is no text; write it in quotes"),
    ],
)
def test_what_is_no_mapping_is_no_scenario(text: str, said: str) -> None:
    assert problems(text) == [said]


def test_every_problem_is_told_in_the_order_of_the_lines() -> None:
    text = FULL.replace("mode: both", "mode: bath").replace("wait: 1.5 min", "wait: 90").replace("summary", "sumary")
    found = [int(problem.split(":")[1]) for problem in problems(text)]
    assert len(found) == 4
    assert found == sorted(found)


def test_the_sequence_need_not_be_at_hand_where_nobody_asks_for_it() -> None:
    text = FULL.replace("request-flow.md", "elsewhere.md")
    assert parse_scenario(text, "s.yaml").document == "docs/elsewhere.md#push-mode"


def test_a_file_is_read_with_its_document(tmp_path: Path) -> None:
    path = tmp_path / "full.yaml"
    path.write_text(FULL)
    assert load_scenario(path).name == "full"
    path.write_text(FULL.replace("request-flow.md", "elsewhere.md"))
    with pytest.raises(ScenarioError, match=r"full.yaml:3: the document cannot be used: docs/elsewhere.md:1"):
        load_scenario(path)


def test_a_file_in_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(FULL.encode("latin-1"))
    with pytest.raises(ScenarioError, match=rf"latin.yaml:{line_of(FULL, 'Zoë')}: the byte 0xeb is not UTF-8"):
        load_scenario(path)


def test_the_largest_made_file_is_taken() -> None:
    assert parse_scenario(FULL.replace("size: 12 KiB", "size: 64 GiB"), "s.yaml").given.files[1].size == 64 * 1024**3


def test_a_file_that_is_too_large_for_a_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * 16 * 1024**2)
    with pytest.raises(ScenarioError, match="null is not an object"):
        load_scenario(path)
    path.write_bytes(b"#" * (16 * 1024**2 + 1))
    with pytest.raises(ScenarioError, match=r"large\.yaml:1: the file is larger than 16 MiB; this is no text"):
        load_scenario(path)


def keys_of_the_schema(value: Any, line: Iterator[int] | None = None) -> Iterator[str]:
    """Every key of FULL that the schema itself names."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key not in FREE:
                yield from keys_of_the_schema(inner)
            elif key == "files":
                for file in inner.values():
                    yield from keys_of_the_schema(file)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_of_the_schema(inner)


@pytest.mark.parametrize(
    "rename", [lambda key: f"{key}s", lambda key: key[:-1], lambda key: key[0].swapcase() + key[1:]]
)
@pytest.mark.parametrize("key", sorted(set(keys_of_the_schema(load(FULL, "FULL")))))
def test_a_renamed_key_is_told_with_the_name_that_it_had(key: str, rename: Callable[[str], str]) -> None:
    pattern = re.compile(rf"^( *(?:- )?){key}:", re.MULTILINE)
    place = pattern.search(FULL)
    assert place
    text = FULL[: place.start()] + place[1] + rename(key) + ":" + FULL[place.end() :]
    line = FULL[: place.start()].count("\n") + 1
    wanted = f"s.yaml:{line}: the key {rename(key)!r} is not known here; did you mean {key!r}?"
    assert wanted in problems(text)


Pairs = list[tuple[Any, Any]]


class Mapping:
    """A mapping as its pairs, so that a key may stand twice."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs


def opened(value: Any) -> Any:
    if isinstance(value, dict):
        return Mapping([(key, opened(inner)) for key, inner in value.items()])
    return [opened(inner) for inner in value] if isinstance(value, list) else value


def mappings(value: Any) -> Iterator[Mapping]:
    inner: list[Any] = []
    if isinstance(value, Mapping):
        yield value
        inner = [one for _, one in value.pairs]
    elif isinstance(value, list):
        inner = value
    for one in inner:
        yield from mappings(one)


def written(value: Any, indent: str = "") -> str:
    """A value as YAML, a line for each key and item."""
    if isinstance(value, Mapping) and value.pairs:
        return "".join(f"\n{indent}{scalar(key)}: {written(inner, indent + '  ')}" for key, inner in value.pairs)
    if isinstance(value, list) and value:
        return "".join(f"\n{indent}- {written(inner, indent + '  ')}" for inner in value)
    return scalar(value)


def scalar(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, float):
        return str(value).replace("nan", ".nan").replace("inf", ".inf")
    return json.dumps(value, ensure_ascii=False)


OTHERS = st.sampled_from(
    [
        *(
            None,
            True,
            False,
            0,
            -1,
            1,
            10**400,
            2.5,
            float("nan"),
            float("inf"),
            "",
            "x",
            "$",
            "$x",
            "$each",
            "$statusCode",
        ),
        *(
            "1 s",
            "0 s",
            "99999999 d",
            "1 B",
            "$steps.upload.outputs.asset",
            "0" * 5000,
            "a\u2028b",
            "\x07",
            "☃",
            "#",
            "a#b",
        ),
        *([], [None], ["x"], [["x"]], [{"a": 1}], {}, {"a": 1}, {"bearer": "x"}, {1: 2}, {None: None}, {"status": 404}),
    ]
)
WORDS = st.sampled_from(
    ["", "x", "as", "wait", "file", "STEPID", 1, None, True, 1.5, "a b", "/", "~1", "é", "operationId"]
)


@given(st.data())
def test_no_mutation_of_a_good_scenario_makes_the_loader_crash(data: st.DataObject) -> None:
    """A key is dropped, renamed, given another value, or said twice: a scenario, or problems with lines of the file."""
    path = data.draw(st.sampled_from([None, *SHIPPED]))
    value = opened(load(FULL if path is None else path.read_text(), "good"))
    for _ in range(data.draw(st.integers(1, 3))):
        owner = data.draw(st.sampled_from(list(mappings(value))))
        if not owner.pairs:
            continue
        index = data.draw(st.integers(0, len(owner.pairs) - 1))
        key, inner = owner.pairs[index]
        match data.draw(st.sampled_from(["drop", "rename", "retype", "duplicate"])):
            case "drop":
                del owner.pairs[index]
            case "rename":
                owner.pairs[index] = (data.draw(WORDS), inner)
            case "retype":
                owner.pairs[index] = (key, opened(data.draw(OTHERS)))
            case "duplicate":
                owner.pairs.insert(data.draw(st.integers(0, len(owner.pairs))), (key, inner))
    text = written(value)
    problems_found: list[DocumentError] = []
    try:
        scenario = parse_scenario(text, "s.yaml", FOLDER)
    except ScenarioError as error:
        scenario = None
        problems_found = error.problems
    assert (scenario is None) == bool(problems_found)
    for problem in problems_found:
        assert problem.file == "s.yaml"
        assert 1 <= problem.line <= len(re.split("[\n\x85\u2028\u2029]", text))  # so many lines libyaml sees
        assert problem.problem
