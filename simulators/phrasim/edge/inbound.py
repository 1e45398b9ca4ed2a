"""The receiving side of an edge: plain ASGI middleware that records each exchange and strikes the receiver's faults.

It streams: a body is passed on part by part, and kept only within the journal's limits.
"""

import logging
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phrasim.clock import Clock
from phrasim.documents import Operation
from phrasim.edge.body import BodyCollector, stored_body
from phrasim.edge.context import Tracer, handled
from phrasim.edge.faults import Answer, CutBody, Delay, DropReply, Faults
from phrasim.edge.problem import MEDIA_TYPE, problem_json
from phrasim.journal.events import Participant, Request, Response
from phrasim.journal.recorder import Journal

STORED_DIGEST = "phrasim.stored_digest"
"""The key of `scope["state"]` under which an application says the SHA-256 of the file that it is about to send."""

_logger = logging.getLogger(__name__)


class InboundEdge:
    """Wraps the application of `participant`; a caller that bears no known `traceparent` is taken for `stranger`."""

    def __init__(
        self,
        participant: Participant,
        app: ASGIApp,
        *,
        stranger: Callable[[Operation | None], Participant],
        operation: Callable[[str, str], Operation | None],
        journal: Journal,
        tracer: Tracer,
        faults: Faults,
        clock: Clock,
    ) -> None:
        self._participant = participant
        self._app = app
        self._stranger = stranger
        self._operation = operation
        self._journal = journal
        self._tracer = tracer
        self._faults = faults
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application: HTTP is recorded, anything else (lifespan) is passed through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        operation = self._operation(scope["method"], scope["path"])
        exchange = _Exchange(self._participant, scope, operation, self._stranger, self._journal, self._tracer)
        handled.set(self._tracer.handling(exchange.request_id, exchange.traceparent))
        await self._answer(exchange, scope, receive, send)

    async def _answer(self, exchange: "_Exchange", scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        for effect in self._faults.at_receiver(exchange.operation_id):
            self._journal.noted(self._participant, "fault", effect=repr(effect), request=exchange.request_id)
            match effect:
                case Delay(seconds):
                    await self._clock.sleep(seconds)
                case Answer(status):
                    app = _answering(status, "a fault answers in the place of the service")
                case DropReply():
                    exchange.dropped = True
                case CutBody(after_bytes):
                    exchange.cut_after = after_bytes
        try:
            await app(scope, exchange.receiving(receive), exchange.sending(send))
        except Exception as error:
            if exchange.cut:
                raise
            if exchange.left:
                return  # The journal has the loss; that nobody is there to be answered is no failure of the service.
            _logger.exception("%s failed at %s %s", self._participant, scope["method"], scope["path"])
            self._journal.noted(self._participant, "failed", error=f"{type(error).__name__}: {error}")
            if not exchange.answering:
                await _answering(500, "the service failed at this request")(scope, receive, exchange.sending(send))
            elif not exchange.complete:
                raise
        if exchange.dropped:
            # The caller waits for an answer that does not come, until it loses patience.
            while (await receive())["type"] != "http.disconnect":
                pass


class _Exchange:
    """One request and its response as they pass the receiver's edge."""

    def __init__(
        self,
        participant: Participant,
        scope: Scope,
        operation: Operation | None,
        stranger: Callable[[Operation | None], Participant],
        journal: Journal,
        tracer: Tracer,
    ) -> None:
        self._participant = participant
        self._scope = scope
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
        self._asked = BodyCollector(named.get("content-type"))
        self._received = False
        self._start: Message | None = None
        self._answered: BodyCollector | None = None
        self._response_id: str | None = None
        self._head_sent = False
        self.dropped = False
        self.cut_after: int | None = None
        self.cut = False
        self.left = False
        """Whether the caller was gone before it had sent, or was sent, everything."""
        self.complete = False
        """Whether the last part of the response has been sent."""
        if named.get("content-length", "0") == "0" and "transfer-encoding" not in named:
            self._receive_whole()

    @property
    def answering(self) -> bool:
        """Whether a part of the response has been sent."""
        return self._answered is not None

    def receiving(self, receive: Receive) -> Receive:
        """`receive` as the application gets it."""

        async def received() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not self._received:
                if self._foreign:
                    self._asked.add(message.get("body", b""))
                if not message.get("more_body", False):
                    self._receive_whole()
            elif message["type"] == "http.disconnect" and not self._received:
                self._received = self.left = True
                self._journal.lost(self._message(), "the caller left before the end of the body")
            return message

        return received

    def sending(self, send: Send) -> Send:
        """`send` as the application gets it."""

        async def sent(message: Message) -> None:
            if self.left:
                raise ConnectionResetError("the caller has left: nobody reads this response")
            if message["type"] == "http.response.start":
                # It leaves with the first part of the body: until then the service may still fail, and answer 500.
                self._start = message
                return
            if not self._received:
                # An answer before the end of the body: the receiver has as much as it wanted.
                self._receive_whole()
            message = self._record(message)
            self.complete = not message["more_body"]
            if self.dropped:
                return
            try:
                if not self._head_sent:
                    assert self._start is not None
                    await send(self._start)
                await send(message)
                self._head_sent = True
            except OSError as error:
                self._lose_response(str(error))
                raise
            if self.cut:
                if self._foreign:
                    self._lose_response("a fault cut the body")
                raise _CutError("a fault cuts the body here")

        return sent

    def _message(self) -> str | Request:
        if not self._foreign:
            return self.request_id
        query = self._scope["query_string"].decode("latin-1")
        return Request(
            id=self.request_id,
            sender=self._sender,
            receiver=self._participant,
            operation_id=self.operation_id,
            method=self._scope["method"],
            target=self._scope["path"] + (f"?{query}" if query else ""),
            headers=self._headers,
            body=self._asked.body(),
        )

    def _lose_response(self, reason: str) -> None:
        """The caller did not get the whole response; a simulated one that had its head says so itself."""
        self.left = True
        if self._response_id is None:
            if self._head_sent and not self._foreign:
                return
            assert self._start is not None
            assert self._answered is not None
            self._send_response(_decoded(self._start.get("headers", ())), self._answered.body())
        reply = self._tracer.correlation.reply(self.request_id)
        if reply is not None:
            self._journal.lost(reply, reason)

    def _receive_whole(self) -> None:
        self._received = True
        self._journal.received(self._message())

    def _record(self, message: Message) -> Message:
        """Count a part of the response, record the response where it is known, and cut it where a fault says."""
        assert self._start is not None, "an application sent a body before the head of its response"
        headers = _decoded(self._start.get("headers", ()))
        named = dict(headers)
        part, more = bytes(message.get("body", b"")), message.get("more_body", False)
        if self._answered is None:
            self._answered = BodyCollector(named.get("content-type"))
        before = self._answered.length
        stored = self._scope.get("state", {}).get(STORED_DIGEST)
        if stored is None:
            self._answered.add(part)
        else:
            self._answered.length += len(part)
        if self._response_id is None and (stored is not None or not more):
            body = self._answered.body() if stored is None else stored_body(int(named["content-length"]), stored)
            self._send_response(headers, body)
        if self.cut_after is not None and before + len(part) > self.cut_after and not self.dropped:
            self.cut = True
            part, more = part[: max(0, self.cut_after - before)], True
            if self._response_id is None:
                self._send_response(headers, self._answered.body())
        return {"type": "http.response.body", "body": part, "more_body": more}

    def _send_response(self, headers: tuple[tuple[str, str], ...], body: Any) -> None:
        assert self._start is not None
        self._response_id = self._tracer.next_id()
        if not self.dropped:
            self._tracer.correlation.answered(self.request_id, self._response_id)
        self._journal.sent(
            Response(
                id=self._response_id,
                sender=self._participant,
                receiver=self._sender,
                operation_id=self.operation_id,
                cause=self.request_id,
                reply_to=self.request_id,
                status=self._start["status"],
                headers=headers,
                body=body,
            )
        )
        if self.dropped:
            self._journal.lost(self._response_id, "a fault dropped the reply")


class _CutError(ConnectionAbortedError):
    """Raised through the server, which then breaks off the connection."""


def _sender_of(message_id: str) -> Participant:
    """The participant that gave the message its id (`upload-3`)."""
    sender: Participant = msgspec.convert(message_id.rpartition("-")[0], Participant)
    return sender


def _decoded(headers: Any) -> tuple[tuple[str, str], ...]:
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
