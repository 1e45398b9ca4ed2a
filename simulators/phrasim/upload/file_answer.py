"""A stored file as an answer, read from disk part by part."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from starlette.types import ASGIApp, Receive, Scope, Send

from phrasim.edge.inbound import STORED_DIGEST
from phrasim.upload.storage import READ_BYTES, Storage
from phrasim.upload.stored_file import StoredFile


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """200 with the file under these headers; `gone` makes what answers where it was deleted."""

    storage: Storage
    file: StoredFile
    headers: Mapping[str, str]
    gone: Callable[[], ASGIApp]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        try:
            file = self.storage.open(self.file)
        except FileNotFoundError:
            await self.gone()(scope, receive, send)
            return
        with file:
            left = 0 if scope["method"] == "HEAD" else self.file.size
            if left:
                scope["state"][STORED_DIGEST] = self.file.sha256
            headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while True:
                part = file.read(min(READ_BYTES, left))
                left -= len(part)
                await send({"type": "http.response.body", "body": part, "more_body": left > 0 and bool(part)})
                if left <= 0 or not part:
                    return


def content_disposition(name: str) -> str:
    """`attachment` with the client's name: quoted, and in RFC 8187's form where it is not plain ASCII."""
    plain = "".join(char if " " <= char <= "~" and char not in '"\\' else "_" for char in name)
    header = f'attachment; filename="{plain}"'
    if plain == name:
        return header
    return f"{header}; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"
