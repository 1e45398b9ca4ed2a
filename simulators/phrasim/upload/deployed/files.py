"""Files as the file store gives them out: not in the formats of the service, and refused in the words of S3 (§2.4)."""

from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from phrasim.edge.inbound import STORED_DIGEST
from phrasim.upload.deployed.state import Asset
from phrasim.upload.routes import content_disposition
from phrasim.upload.storage import READ_BYTES, Storage


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """An asset's file as an answer, read from disk part by part."""

    storage: Storage
    asset: Asset

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application. A file that was deleted is 404."""
        stored = self.asset.file
        try:
            file = self.storage.open(stored)
        except FileNotFoundError:
            await no_such_file()(scope, receive, send)
            return
        with file:
            left = 0 if scope["method"] == "HEAD" else stored.size
            if left:
                scope["state"][STORED_DIGEST] = stored.sha256
            await send({"type": "http.response.start", "status": 200, "headers": self._headers()})
            while True:
                part = file.read(min(READ_BYTES, left))
                left -= len(part)
                await send({"type": "http.response.body", "body": part, "more_body": left > 0 and bool(part)})
                if left <= 0 or not part:
                    return

    def _headers(self) -> list[tuple[bytes, bytes]]:
        return [
            (b"content-type", self.asset.file.mime_type.encode()),
            (b"content-length", str(self.asset.file.size).encode()),
            (b"content-disposition", content_disposition(self.asset.original_name).encode()),
        ]


def no_such_file() -> Response:
    """404: the file was deleted, or never was."""
    return store_refusal(404, "NoSuchKey", "The specified key does not exist.")


def store_refusal(status: int, code: str, message: str) -> Response:
    """A refusal of the file store; `code` is S3's word for it (not verified)."""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(text, status, media_type="application/xml")
