"""Phraseanet's access token: what Auth answers is not trusted to be one."""

import asyncio

import httpx
import pytest

from phrasim.phraseanet.documented.credentials import ClientToken, TokenRefused


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"{", b'{"access_token": 1}', b'{"access_token": "\\u00e9"}', b'{"access_token": "a\\nb"}'],
)
def test_an_answer_without_a_token_is_a_refusal(body: bytes) -> None:
    """Nor is it a token that no header can hold: it would be kept, and never be refused."""

    async def main() -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
        async with httpx.AsyncClient(transport=transport, base_url="https://auth.test") as auth:
            await ClientToken(auth, "phraseanet", "secret", "commit:list").get(auth, "/commits")

    with pytest.raises(TokenRefused) as caught:
        asyncio.run(main())
    assert "unusable" in str(caught.value)
