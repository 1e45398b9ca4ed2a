"""Once more on real ports and in real time, as a program in any language could use them."""

import asyncio

from uploader import AsyncUploader, Uploader


def test_files_are_handed_over_on_real_sockets(phrasim_server, files):
    uploader = Uploader(phrasim_server.upload.url, phrasim_server.publisher.token)
    ids = uploader.hand_over(files, {})
    uploader.close()

    phrasim_server.wait_for("acknowledgeCommit", within=10)
    assert [record.asset_id for record in phrasim_server.records] == ids
    phrasim_server.conforms()


def test_an_async_client_needs_no_more_than_the_url(phrasim_server, files):
    async def hand_over() -> None:
        uploader = AsyncUploader(phrasim_server.upload.url, phrasim_server.publisher.token)
        await uploader.hand_over(files, {})
        await uploader.close()

    asyncio.run(hand_over())
    phrasim_server.wait_for("acknowledgeCommit", within=10)
    assert phrasim_server.state()["commits"][0]["acknowledged"]
