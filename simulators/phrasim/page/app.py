"""The application at a control port that answers with the page, and hands whatever else is asked for on."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from phrasim.serve.landscape import Landscape
from phrasim.serve.same_site import SameSite
from phrasim.service.operations import json_answer
from phrasim.service.refusal import Refusal, problem

if TYPE_CHECKING:
    from phrasim.page.user import Publisher

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The content-security policy: all that the page needs comes from here, and none of it stands in the page itself."""

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_MEDIA_TYPES = {"css": "text/css", "js": "text/javascript"}

Handler = Callable[[Request], Awaitable[ASGIApp]]


def with_page(landscape: Landscape, control: ASGIApp) -> ASGIApp:
    """The application of a control port: the page at `/` and what it asks for below `/page/`, else `control`."""
    handlers = PageRoutes(landscape).handlers
    page = SameSite(_Page(handlers), is_local=landscape.is_local)

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        # The control API has a guard of its own.
        await (page if scope["path"] in handlers else control)(scope, receive, send)

    return answered


class _Page:
    """What a page needs is loaded when somebody looks at it: a server that nobody looks at starts without."""

    def __init__(self, handlers: Mapping[str, Mapping[str, Handler]]) -> None:
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application, of the paths that have handlers."""
        handlers = self._handlers[scope["path"]]
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method not in handlers:
            allowed = ", ".join(sorted(handlers))
            answer: ASGIApp = problem(405, f"{scope['method']} is not a method of {scope['path']}", {"Allow": allowed})
        else:
            try:
                answer = await handlers[method](Request(scope, receive))
            except Refusal as refusal:
                answer = refusal.response()
        await answer(scope, receive, send)


class PageRoutes:
    """The handlers of the page of one landscape, by path and method."""

    def __init__(self, landscape: Landscape) -> None:
        self._landscape = landscape
        self._publisher: Publisher | None = None
        self.handlers: dict[str, dict[str, Handler]] = {
            "/": {"GET": self.page},
            **{f"/page/{name}": {"GET": self.asset} for name in ("run.css", "live.css", "live.js")},
            "/page/feed": {"GET": self.feed},
            "/page/message": {"GET": self.message},
            "/page/assets": {"POST": self.upload},
            "/page/commits": {"POST": self.commit},
        }

    async def page(self, _request: Request) -> ASGIApp:
        """The page itself."""
        from phrasim.page.fragments import live_page

        return _answer(live_page(self._landscape), "text/html")

    async def asset(self, request: Request) -> ASGIApp:
        """A style sheet or the script."""
        from phrasim.page.fragments import page_asset

        name = request.url.path.rpartition("/")[2]
        return _answer(page_asset(name), _MEDIA_TYPES[name.rpartition(".")[2]])

    async def feed(self, _request: Request) -> ASGIApp:
        """What happens, as server-sent events (HTML, §9.2)."""
        from phrasim.page.feed import feed

        return StreamingResponse(feed(self._landscape), media_type="text/event-stream", headers=_HEADERS)

    async def message(self, request: Request) -> ASGIApp:
        """A message that is opened, by its id."""
        from phrasim.page.fragments import opened_message

        named = _required(request.query_params, "id")
        opened = opened_message(self._landscape, named)
        if opened is None:
            raise Refusal(404, f"the journal keeps no message {named!r}; it may have been forgotten, or begun anew")
        return _answer(opened, "text/html")

    async def upload(self, request: Request) -> ASGIApp:
        """Upload the body as the publisher, under the `name` in the query; the upload service's status and answer."""
        name = _required(request.query_params, "name")
        return json_answer(await self._user().upload(name, request.stream()))

    async def commit(self, request: Request) -> ASGIApp:
        """Commit the assets with the ids in the query as the publisher; the upload service's status and answer."""
        assets = request.query_params.getlist("asset")
        return json_answer(await self._user().commit(assets, request.query_params.get("title", "")))

    def _user(self) -> "Publisher":
        """The publisher at a browser, another one whenever the landscape has begun anew."""
        from phrasim.page.user import Publisher

        if self._publisher is None or self._publisher.testbed is not self._landscape.testbed:
            self._publisher = Publisher(self._landscape.testbed)
        return self._publisher


def _required(query: QueryParams, name: str) -> str:
    value = query.get(name)
    if not value:
        raise Refusal(400, f"query/{name}: it is required, and not empty")
    return str(value)


def _answer(content: str, media_type: str) -> Response:
    return Response(content, headers=_HEADERS, media_type=media_type)
