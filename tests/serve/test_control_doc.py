"""docs/control.md says what is true: its commands run against a `phrasim serve`, its table is that of control.yaml."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from phrasim.documents import documents_root, specification

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "control.md"

pytestmark = pytest.mark.skipif(documents_root() != ROOT, reason="the pages are those of the checkout")


def fences(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_table_tells_every_operation() -> None:
    control = specification("control.yaml")
    rows = re.findall(r"^\| `(\w+)` \| `(\w+) (\S+)` \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [
        (one.operation_id, one.method, one.path, control.document["paths"][one.path][one.method.lower()]["summary"])
        for one in control.operations.values()
    ]


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="the commands need curl and jq")
def test_every_command_runs(server: Any, tmp_path: Path) -> None:
    (start,) = fences("sh")
    words = start.replace(" > landscape.json &", "").split()
    assert words[:2] == ["phrasim", "serve"]
    with server(*words[2:]) as (described, _):
        (tmp_path / "landscape.json").write_bytes(msgspec.json.encode(described))
        commands = "\n".join(fences("bash"))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands], cwd=tmp_path, capture_output=True, timeout=30, check=False
        )
    assert (done.returncode, done.stderr) == (0, b"")
    told = done.stdout.decode()
    assert '{"accepted":1}' in told
    assert '"commits": 0' in told
    assert "pull" in told.splitlines()
    assert len(msgspec.json.decode((tmp_path / "added.json").read_bytes())["commits"]) == 1
