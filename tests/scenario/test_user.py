"""The user's client: what it keeps of an answer, and how it names a file."""

import asyncio
from typing import Any

import httpx
import pytest

from phrasim.scenario.user import _kept, _quoted


@pytest.mark.parametrize(
    ("media_type", "content", "kept"),
    [
        ("application/json", b'{"a": 1}', {"a": 1}),
        ("application/problem+json", b"[1]", [1]),
        ("application/json", b"{", None),
        ("application/json", b'"\xff"', None),
        ("text/plain", b'{"a": 1}', None),
        ("", b"", None),
    ],
)
def test_of_an_answer_its_json_is_kept(media_type: str, content: bytes, kept: Any) -> None:
    async def stream() -> Any:
        yield content

    response = httpx.Response(200, headers={"content-type": media_type}, content=stream())
    assert asyncio.run(_kept(response)) == kept
    assert response.is_closed


def test_a_file_name_is_written_as_browsers_write_it() -> None:
    assert _quoted('a "b"\r\n☃') == "a %22b%22%0D%0A☃"
