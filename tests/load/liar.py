"""`phrasim` whose upload service lies now and then: `python liar.py LIE EVERY serve …`."""

import sys
from collections.abc import Callable
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from phrasim.cli import main
from phrasim.upload.documented.outbound import Notifier
from phrasim.upload.documented.routes import UploadRoutes
from phrasim.upload.documented.state import UploadState


def each(every: int, honest: Callable[..., Any], lie: Callable[..., Any]) -> Callable[..., Any]:
    """`honest`, but `lie` at each call whose number `every` divides."""
    calls = 0

    def called(*values: Any) -> Any:
        nonlocal calls
        calls += 1
        return (lie if calls % every == 0 else honest)(*values)

    return called


def drop_an_acknowledgement(every: int) -> None:
    UploadState.acknowledge = each(every, UploadState.acknowledge, lambda *_: True)


def serve_a_wrong_byte(every: int) -> None:
    honest = UploadRoutes.download_asset

    async def lie(*values: Any) -> Any:
        answer = await honest(*values)

        async def spoilt(scope: Scope, receive: Receive, send: Send) -> None:
            async def sent(message: Message) -> None:
                body = bytes(message.get("body", b""))
                if body:
                    message = {**message, "body": bytes([body[0] ^ 1]) + body[1:]}
                await send(message)

            await answer(scope, receive, sent)

        return spoilt

    UploadRoutes.download_asset = each(every, honest, lie)
    UploadRoutes.download_asset_at_once = lambda *_: None


def notify_twice(every: int) -> None:
    honest = Notifier.notify

    async def lie(*values: Any) -> None:
        await honest(*values)
        await honest(*values)

    Notifier.notify = each(every, honest, lie)


LIES = {lie.__name__: lie for lie in (drop_an_acknowledgement, serve_a_wrong_byte, notify_twice)}

if __name__ == "__main__":
    LIES[sys.argv.pop(1)](int(sys.argv.pop(1)))
    sys.exit(main())
