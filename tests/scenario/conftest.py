"""One good scenario, and ways to spoil and to play it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from phrasim.documents import scenarios_folder
from phrasim.scenario.events import Outcome, RunEvent
from phrasim.scenario.loader import parse_scenario
from phrasim.scenario.runner import Play, play_in_process

PUSH = """\
scenario: push
summary: Two files go from the publisher to Phraseanet.
document: docs/request-flow.md#push-mode
mode: push
given:
  files:
    one.txt: {size: 40 B, mimeType: text/plain}
    two.bin: {size: 70 B}
steps:
  - stepId: upload
    operationId: uploadAsset
    forEach: $given.files
    file: $each
    outputs: {asset: $response.body#/id}
  - stepId: commit
    operationId: commitAssets
    body: {files: $steps.upload.outputs.asset, formData: {title: Test document}}
  - stepId: handed-over
    waitFor: {operationId: acknowledgeCommit, within: 30 s}
    outputs: {commit: $request.path.id}
expect:
  sequence: walked
  records: one for each file, same bytes
  commits: {count: 1, acknowledged: 1}
  executions: 1
  queues: {assetsIngest: 0, assetsIngest_failed: 0}
  refusals: {downloadAsset: []}
"""

Change = tuple[str, str]


@pytest.fixture
def push() -> str:
    """The text of a scenario that holds; each test changes what it is about."""
    return PUSH


@pytest.fixture
def changed() -> Callable[..., str]:
    """The same text with parts of it replaced; each part must be there, and once."""

    def change(*changes: Change) -> str:
        text = PUSH
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        return text

    return change


@pytest.fixture
def played() -> Callable[..., Outcome]:
    """Plays a text as a scenario that lies beside those of phrasim."""

    def play(text: str, play: Play | None = None, listen: Callable[[RunEvent], None] = lambda _: None) -> Outcome:
        file = scenarios_folder() / "test.yaml"
        scenario = parse_scenario(text, str(file), Path(file).parent)
        return play_in_process(scenario, play or Play(), listen)

    return play
