"""What a browser says of its pages, beyond what they show."""

from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, WebError, WebSocket

_OWN_HOSTS = frozenset({"127.0.0.1", "localhost"})
_NO_NETWORK = frozenset({"file", "data", "blob", "about"})


class Watch:
    """Notes each error in the console, each exception that nobody caught, and each request that leaves the machine.

    It looks at all pages of a context, and at the frames in them. `problems` has them as sentences, in their order.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.problems: list[str] = []
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("request", self._request)
        context.on("page", lambda page: page.on("websocket", self._socket))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"console error: {message.text} ({message.location['url']})")

    def _error(self, error: WebError) -> None:
        self.problems.append(f"page error: {error.error}")

    def _request(self, request: Request) -> None:
        self._asked(request.url)

    def _socket(self, socket: WebSocket) -> None:
        self._asked(socket.url)

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _NO_NETWORK and parts.hostname not in _OWN_HOSTS:
            self.problems.append(f"request off the machine: {url}")
