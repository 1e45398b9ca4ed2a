"""The receiving side of an edge: plain ASGI middleware that records each exchange and strikes the receiver's faults.

It streams: a body is passed on part by part, and kept only within the journal's limits.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from itertools import chain
from typing import NamedTuple

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phrasim.clock import Clock
from phrasim.documents import Operation
from phrasim.edge.at_once import BODY, MATCHED, OpenFile, at_once
from phrasim.edge.at_once import Answer as AnswerAtOnce
from phrasim.edge.body import BodyCollector, journal_body, stored_body
from phrasim.edge.context import Tracer, handled
from phrasim.edge.faults import Answer, CutBody, Delay, DropReply, Faults
from phrasim.edge.problem import MEDIA_TYPE, problem_json
from phrasim.edge.progress import REQUEST, RESPONSE, RequestEvent, RequestState, ResponseEvent, ResponseState, after
from phrasim.journal.events import Body, Participant, Received, Request, Response, Sent
from phrasim.journal.recorder import Journal

STORED_DIGEST = "phrasim.stored_digest"
"""The key of `scope["state"]` under which an application says the SHA-256 of the file that it is about to send."""

REPLY_DROPPED = "phrasim.reply_dropped"
"""The key of `scope["state"]` under which the server is told (True) that this request will never be answered."""

Headers = Iterable[tuple[bytes, bytes]]

_logger = logging.getLogger(__name__)


class BrokenOffError(ConnectionAbortedError):
    """Raised through the server, which then breaks off the connection; the journal and the log have the reason."""


class InboundEdge:
    """Wraps the application of `participant`; a caller that bears no known `traceparent` is taken for `stranger`."""

    def __init__(
        self,
        participant: Participant,
        app: ASGIApp,
        *,
        stranger: Callable[[Operation | None], Participant],
        match: Callable[[str, str], tuple[Operation, dict[str, str]] | None],
        journal: Journal,
        tracer: Tracer,
        faults: Faults,
        clock: Clock,
    ) -> None:
        self._participant = participant
        self._app = app
        self._app_at_once = at_once(app)
        self._stranger = stranger
        self._match = match
        self._journal = journal
        self._tracer = tracer
        self._faults = faults
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application: HTTP is recorded, anything else (lifespan) is passed through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        matched = self._match(scope["method"], scope["path"])
        operation = None
        if matched is not None:
            scope[MATCHED] = matched
            operation = matched[0]
        exchange = _Exchange(
            self._participant, scope, receive, send, operation, self._stranger, self._journal, self._tracer
        )
        handled.set(self._tracer.handling(exchange.request_id, exchange.traceparent))
        await self._answer(exchange, scope)
        if exchange.reply_dropped:
            # The caller waits for an answer that does not come, until it loses patience.
            scope.setdefault("state", {})[REPLY_DROPPED] = True
            while (await receive())["type"] != "http.disconnect":
                pass

    def at_once(self, scope: Scope) -> AnswerAtOnce | None:
        """A request, answered and recorded as `__call__` does it; None where that has to be called.

        So it has where faults wait for requests, and where a `traceparent` is no participant's.
        """
        matched = self._match(scope["method"], scope["path"])
        if matched is None or self._faults:
            return None
        traceparent = _header(scope, b"traceparent")
        known_id = self._tracer.correlation.bears(traceparent)
        if traceparent is not None and known_id is None:
            return None
        scope[MATCHED] = matched
        content = scope.get(BODY)
        before = None
        if content is not None:
            # What the service goes on to do is caused by the request; a stranger's has its id once it is answered.
            before = handled.set(self._tracer.handling(known_id or self._tracer.upcoming_id(), traceparent))
        try:
            answer = self._app_at_once(scope)
        except Exception:  # noqa: BLE001 - it will be raised again, where it is answered for
            return None
        finally:
            if before is not None:
                handled.reset(before)
        if answer is None:
            return None
        asked = None
        if known_id is None:
            body = (
                _NO_BODY if content is None or BODY in scope else journal_body(content, _header(scope, _CONTENT_TYPE))
            )
            asked = _Asked(scope["raw_path"], scope["query_string"], _joined(scope["headers"]), body)
        number = self._tracer.next_numbers(1 if asked is None else 2) + (asked is not None)
        if known_id is not None:
            self._tracer.correlation.arrived(traceparent)
            self._tracer.correlation.answered(known_id, self._tracer.id_of(number))
        exchange = _AnsweredAtOnce(
            self._participant,
            self._stranger(matched[0]) if known_id is None else _sender_of(known_id),
            matched[0],
            self._tracer,
            known_id,
            number,
            self._clock.now_ns(),
            asked,
            answer.status_code,
            _joined(answer.raw_headers),
            stored_body(answer.size, answer.sha256) if isinstance(answer, OpenFile) else bytes(answer.body),
        )
        self._journal.exchanged(exchange)
        return answer

    async def _answer(self, exchange: "_Exchange", scope: Scope) -> None:
        app = self._app
        for effect in self._faults.at_receiver(exchange.operation_id):
            self._journal.noted(self._participant, "fault", effect=repr(effect), request=exchange.request_id)
            match effect:
                case Delay(seconds):
                    await self._clock.sleep(seconds)
                case Answer(status):
                    app = _answering(status, "a fault answers in the place of the service")
                case DropReply():
                    exchange.reply_dropped = True
                case CutBody(after_bytes):
                    exchange.cut_after = after_bytes
        try:
            await app(scope, exchange.receive, exchange.send)
        except Exception as error:
            if exchange.response == "cut":
                raise
            if exchange.response == "lost":
                return  # The journal has the loss; that nobody is there to be answered is no failure of the service.
            _logger.exception("%s failed at %s %s", self._participant, scope["method"], scope["path"])
            self._journal.noted(self._participant, "failed", error=f"{type(error).__name__}: {error}")
            if exchange.response in ("none", "held"):
                failure = _answering(500, "the service failed at this request")
                await failure(scope, exchange.receive, exchange.send)
            elif exchange.response == "going" and not exchange.reply_dropped:
                raise BrokenOffError("the service failed within the body of its answer") from error


class _Asked(NamedTuple):
    """What a stranger has asked."""

    path: bytes
    query: bytes
    headers: bytes
    body: Body


class _AnsweredAtOnce(NamedTuple):
    """An exchange that was answered at once, in few values: the journal keeps thousands of them.

    The answer has the id of that `number`. Both passed at the same time: that of a server's loop stands still while it
    calls anybody.
    """

    receiver: Participant
    sender: Participant
    operation: Operation
    tracer: Tracer
    known_id: str | None
    """The id of a request that the journal has already; a stranger's has the number before its answer's."""
    number: int
    at_ns: int
    asked: _Asked | None
    """What a stranger has asked."""
    status: int
    headers: bytes
    content: bytes | Body

    def received(self) -> Received:
        if self.asked is None:
            return Received(at=self.at_ns, message=self.request_id)
        known = self.request_id, self.sender, self.receiver, self.operation.operation_id
        path, query, headers, body = self.asked
        asked = self.operation.method, path, query, _decoded(_parted(headers))
        return Received(at=self.at_ns, message=_request(*known, *asked, body))

    def sent(self) -> Sent:
        headers = _decoded(_parted(self.headers))
        content = self.content
        body = content if isinstance(content, Body) else journal_body(content, dict(headers).get("content-type"))
        response_id = self.tracer.id_of(self.number)
        known = response_id, self.receiver, self.sender, self.operation.operation_id, self.request_id
        return Sent(at=self.at_ns, message=_response(*known, self.status, headers, body))

    @property
    def request_id(self) -> str:
        return self.known_id or self.tracer.id_of(self.number - 1)


class _Exchange:
    """One request and its response as they pass the receiver's edge; `receive` and `send` are the application's."""

    def __init__(
        self,
        participant: Participant,
        scope: Scope,
        receive: Receive,
        send: Send,
        operation: Operation | None,
        stranger: Callable[[Operation | None], Participant],
        journal: Journal,
        tracer: Tracer,
    ) -> None:
        self._participant = participant
        self._scope = scope
        self._receive = receive
        self._send = send
        self._journal = journal
        self._tracer = tracer
        self._headers = _decoded(scope["headers"])
        named = dict(self._headers)
        self.traceparent = named.get("traceparent")
        known_id = tracer.correlation.arrived(self.traceparent)
        self.operation_id = operation.operation_id if operation else None
        self._foreign = known_id is None
        self.request_id = known_id or tracer.next_id()
        self._sender: Participant = stranger(operation) if self._foreign else _sender_of(self.request_id)
        self._request: RequestState = "arriving"
        self._asked = BodyCollector(named.get("content-type"))
        self._closes = scope["http_version"] == "1.0" or "close" in named.get("connection", "").lower()
        self._unread: list[Message] = []
        """What was read ahead of the application."""
        self.response: ResponseState = "none"
        # The table lets no part pass before there is a head, and these three come with it.
        self._start: Message
        self._reply_headers: tuple[tuple[str, str], ...]
        self._answered: BodyCollector
        self._response_id: str | None = None
        """The id of the response, once the journal has it."""
        self._mute = scope.get("asgi", {}).get("spec_version", "2.0") in _MUTE
        self.reply_dropped = False
        """Whether a fault keeps the response back."""
        self.cut_after: int | None = None
        """The bytes after which a fault cuts the body of the response."""
        if named.get("content-length", "0") == "0" and "transfer-encoding" not in named:
            self._request_moves("end")

    async def receive(self) -> Message:
        """The application's `receive`."""
        message = self._unread.pop() if self._unread else await self._receive()
        if message["type"] == "http.disconnect":
            self._request_moves("leave")
            return message
        if self._foreign and self._request == "arriving":
            self._asked.add(message.get("body", b""))
        if not message.get("more_body", False):
            self._request_moves("end")
        return message

    async def send(self, message: Message) -> None:
        """The application's `send`; `ConnectionResetError` once the caller has left, `BrokenOffError` at a cut."""
        if self.response == "lost":
            raise ConnectionResetError(_LEFT)
        if message["type"] == "http.response.start":
            self._response_moves("head")
            self._start, self._reply_headers = message, _decoded(message.get("headers", ()))
            self._answered = BodyCollector(dict(self._reply_headers).get("content-type"))
            return
        head = self._start if self.response == "held" else None
        self._response_moves("part")
        self._request_moves("answer")
        # No answer to a HEAD has a body on the wire, whatever the application gives (RFC 9110, §9.3.2).
        part = b"" if self._scope["method"] == "HEAD" else bytes(message.get("body", b""))
        more = message.get("more_body", False)
        before = self._answered.length
        self._record(part, more=more)
        if self.reply_dropped:
            if not more:
                self._response_moves("drop")
            return
        if self.cut_after is not None and before + len(part) > self.cut_after:
            await self._cut(head, part[: max(0, self.cut_after - before)])
        lingers = not more and self._closes and self._request == "unread"
        await self._pass_on(head, part, more=more or lingers)
        if lingers:
            # A connection that is closed on a caller who still sends is reset, and takes the answer with it.
            while (await self._receive()).get("more_body"):
                pass
            await self._pass_on(None, b"", more=False)
        if not more:
            self._response_moves("end")

    def _request_moves(self, event: RequestEvent) -> None:
        before, self._request = self._request, after(REQUEST, self._request, event)
        if before != "arriving":
            return
        if self._request == "lost":
            self._journal.lost(self._message(), "the caller left before the end of the body")
            self._response_moves("leave")
        else:
            self._journal.received(self._message())

    def _response_moves(self, event: ResponseEvent) -> None:
        self.response = after(RESPONSE, self.response, event)

    def _message(self) -> str | Request:
        if not self._foreign:
            return self.request_id
        known, scope = (self.request_id, self._sender, self._participant, self.operation_id), self._scope
        # As it stood on the wire: in `path` the percent-encoding is undone.
        asked = scope["method"], scope["raw_path"], scope["query_string"]
        return _request(*known, *asked, self._headers, self._asked.body())

    def _record(self, part: bytes, *, more: bool) -> None:
        """Count a part of the response, and record the response where it is known."""
        stored = self._scope.get("state", {}).get(STORED_DIGEST)
        if stored is None:
            self._answered.add(part)
        else:
            self._answered.length += len(part)
        if self._response_id is not None:
            return
        if stored is not None:
            self._respond(stored_body(int(dict(self._reply_headers)["content-length"]), stored))
        elif not more:
            self._respond(self._answered.body())

    def _respond(self, body: Body) -> None:
        """Record the response."""
        self._response_id = self._tracer.next_id()
        if not self.reply_dropped:
            self._tracer.correlation.answered(self.request_id, self._response_id)
        known = self._response_id, self._participant, self._sender, self.operation_id, self.request_id
        self._journal.sent(_response(*known, self._start["status"], self._reply_headers, body))
        if self.reply_dropped:
            self._journal.lost(self._response_id, "a fault dropped the reply")

    async def _pass_on(self, head: Message | None, part: bytes, *, more: bool) -> None:
        """Hand a part to the server, the first one behind the head; `OSError` if the caller has left."""
        try:
            if self._mute and self._caller_has_left():
                raise ConnectionResetError(_LEFT)
            if head is not None:
                await self._send(head)
            await self._send({"type": "http.response.body", "body": part, "more_body": more})
        except OSError as error:
            self._response_moves("leave")
            # A simulated caller that had the head says of a response that is not recorded yet that it is lost.
            if self._response_id is not None or head is not None or self._foreign:
                self._lose_response(str(error))
            raise
        if self._mute and more:
            # Its `send` need not wait for anything, and the loop learns between two parts only that the caller left.
            await asyncio.sleep(0)

    async def _cut(self, head: Message | None, part: bytes) -> None:
        """Send what is left of a part, and break off: `BrokenOffError`."""
        if self._response_id is None:
            self._respond(self._answered.body())
        await self._pass_on(head, part, more=True)
        self._response_moves("cut")
        if self._foreign:
            self._lose_response("a fault cut the body")
        raise BrokenOffError("a fault cuts the body here")

    def _lose_response(self, reason: str) -> None:
        if self._response_id is None:
            self._respond(self._answered.body())
        reply = self._tracer.correlation.reply(self.request_id)
        if reply is not None:
            self._journal.lost(reply, reason)

    def _caller_has_left(self) -> bool:
        """Whether a server that does not say so in `send` would say so in `receive`."""
        if self._request != "whole":
            return False  # What is there to be read is the application's, and there may be much of it.
        message = _at_hand(self._receive)
        if message is None or message["type"] == "http.disconnect":
            return message is not None
        self._unread.append(message)
        return False


_LEFT = "the caller has left: nobody reads this response"


_MUTE = ("2.0", "2.1", "2.2", "2.3")
"""The versions of ASGI whose `send` does nothing once the caller has left; since 2.4 it raises an OSError."""


def _at_hand(receive: Receive) -> Message | None:
    """The next message, if there is one to be had without waiting."""
    waiting = receive().__await__()
    try:
        next(waiting)
    except StopIteration as done:
        message: Message = done.value
        return message
    waiting.close()
    return None


def _sender_of(message_id: str) -> Participant:
    """The participant that gave the message its id (`upload-3`)."""
    sender: Participant = msgspec.convert(message_id.rpartition("-")[0], Participant)
    return sender


def _request(
    message_id: str,
    sender: Participant,
    receiver: Participant,
    operation_id: str | None,
    method: str,
    path: bytes,
    query: bytes,
    headers: tuple[tuple[str, str], ...],
    body: Body,
) -> Request:
    return Request(
        id=message_id,
        sender=sender,
        receiver=receiver,
        operation_id=operation_id,
        method=method,
        target=(path + b"?" + query if query else path).decode("latin-1"),
        headers=headers,
        body=body,
    )


def _response(
    message_id: str,
    sender: Participant,
    receiver: Participant,
    operation_id: str | None,
    request_id: str,
    status: int,
    headers: tuple[tuple[str, str], ...],
    body: Body,
) -> Response:
    return Response(
        id=message_id,
        sender=sender,
        receiver=receiver,
        operation_id=operation_id,
        cause=request_id,
        reply_to=request_id,
        status=status,
        headers=headers,
        body=body,
    )


def _header(scope: Scope, name: bytes) -> str | None:
    written: bytes | None = dict(scope["headers"]).get(name)
    return None if written is None else written.decode("latin-1")


_NO_BODY = journal_body(b"", None)

_CONTENT_TYPE = b"content-type"


def _joined(headers: Headers) -> bytes:
    """Headers as one value, which `_parted` takes apart: neither names nor values hold a line feed (RFC 9110, §5.5)."""
    return b"\n".join(chain.from_iterable(headers))


def _parted(joined: bytes) -> Headers:
    parts = joined.split(b"\n")
    return zip(parts[::2], parts[1::2], strict=False)


def _decoded(headers: Headers) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers)


def _answering(status: int, detail: str) -> ASGIApp:
    """An application that answers with a `problem+json` of that status (A29)."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        body = problem_json(status, detail)
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app
