"""A stored file as an answer, read from disk part by part."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from phrasim.edge.at_once import ROOM, Answer, OpenFile
from phrasim.edge.inbound import STORED_DIGEST
from phrasim.upload.storage import READ_BYTES, Storage
from phrasim.upload.stored_file import StoredFile


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """200 with the file under these headers; `gone` makes what answers where it was deleted."""

    storage: Storage
    file: StoredFile
    headers: Mapping[str, str]
    gone: Callable[[], Response]

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
            await send({"type": "http.response.start", "status": 200, "headers": self._raw_headers()})
            while True:
                part = file.read(min(READ_BYTES, left))
                left -= len(part)
                await send({"type": "http.response.body", "body": part, "more_body": left > 0 and bool(part)})
                if left <= 0 or not part:
                    return

    def at_once(self, scope: Scope) -> Answer | None:
        """As `phrasim.edge.at_once` has it: the file where the connection takes all of it at once.

        An empty one, or one that was cut short on the disk, is left to `__call__`.
        """
        size = self.file.size
        if not 0 < size <= scope[ROOM]():
            return None
        try:
            file = self.storage.open(self.file)
        except FileNotFoundError:
            return self.gone()
        if os.fstat(file.fileno()).st_size < file.offset + size:
            file.close()
            return None
        return OpenFile(200, self._raw_headers(), file, file.offset, size, self.file.sha256)

    def _raw_headers(self) -> list[tuple[bytes, bytes]]:
        return [(name.encode(), value.encode()) for name, value in self.headers.items()]


@lru_cache(maxsize=1024)
def content_disposition(name: str) -> str:
    """`attachment` with the client's name: quoted, and in RFC 8187's form where it is not plain ASCII."""
    plain = "".join(char if " " <= char <= "~" and char not in '"\\' else "_" for char in name)
    header = f'attachment; filename="{plain}"'
    if plain == name:
        return header
    return f"{header}; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"
