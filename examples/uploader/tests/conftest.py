from pathlib import Path

import pytest


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two files that a user might hand over."""
    contents = {"poster.png": b"\x89PNG\r\n\x1a\n" + bytes(2000), "press.txt": b"The press release.\n"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [tmp_path / name for name in contents]
