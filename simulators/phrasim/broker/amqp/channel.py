"""One channel on the wire: frames become calls on the broker's channel, its events and answers become frames.

Order is kept by the tables of `states.py`; the frequent methods are read here, the rare ones by `dispatch.py`.
"""

from struct import Struct
from typing import TYPE_CHECKING

from pamqp.base import Frame
from pamqp.commands import Basic, Queue
from pamqp.commands import Channel as ChannelClass

from phrasim.broker.amqp import dispatch, methods
from phrasim.broker.amqp.frames import METHOD, content_frames, frame, unexpected_frame
from phrasim.broker.amqp.methods import ACK, NACK, PUBLISH, REJECT
from phrasim.broker.amqp.properties import WireProperties, encode_header
from phrasim.broker.amqp.states import CHANNEL, CONTENT, ChannelEvent, ChannelState, ContentState
from phrasim.broker.amqp.tables import UNWRITABLE
from phrasim.broker.channel import Channel
from phrasim.broker.errors import (
    AmqpChannelError,
    AmqpError,
    channel_error,
    command_invalid,
    internal_error,
    not_found,
    not_implemented,
    precondition_failed,
)
from phrasim.broker.events import Delivery, Returned

if TYPE_CHECKING:
    from phrasim.broker.amqp.connection import AmqpConnection

_IDS = Struct(">HH")
_PUBLISH_IDS = (60, 40)
CHANNEL_OPEN_OK = _IDS.pack(20, 11) + bytes(4)
"""With the empty channel id that RabbitMQ sends, and that pamqp does not take."""
_OF_THE_QUEUE_DECLARED_LAST = (Queue.Bind, Queue.Unbind, Queue.Purge, Queue.Delete, Basic.Get, Basic.Consume)
"""The methods that mean the queue declared last when they name none."""
_WITH_CONTENT = (Basic.Deliver, Basic.GetOk, Basic.Return)
"""The methods that only a server sends, and behind which a content comes all the same."""


class AmqpChannel:
    """The channel `number` of `connection`; `core` is its side in the broker, None until it is open.

    `state` and `content` are places in the tables CHANNEL and CONTENT. Between `basic.publish` and the last part of
    its body, `_publish` holds the method's arguments and `_properties` the header, `_parts` the body so far. Where
    another method brings a content, `_publish` is None and `_carrier` tells which.
    `_confirms` counts those that are not sent yet, of which `_confirmed` is the last delivery tag.
    """

    __slots__ = (
        "_carrier",
        "_confirmed",
        "_confirms",
        "_confirms_ack",
        "_parts",
        "_properties",
        "_publish",
        "_remaining",
        "connection",
        "content",
        "core",
        "number",
        "state",
    )

    def __init__(self, connection: "AmqpConnection", number: int) -> None:
        self.connection = connection
        self.number = number
        self.core: Channel | None = None
        self.state: ChannelState = "unopened"
        self.content: ContentState = "method"
        self._publish: tuple[str, str, bool, bool] | None = None
        self._carrier = _PUBLISH_IDS
        self._properties: WireProperties | None = None
        self._parts: list[bytes] = []
        self._remaining = 0
        self._confirms = 0
        self._confirms_ack = True
        self._confirmed = 0

    def leave(self) -> None:
        """The channel is over on the wire; its side in the broker is closed."""
        self._forget_content()
        self.connection.forget(self)
        if self.core is not None:
            self.connection.outlet.channels.pop(self.core, None)
            self.core.close()

    # What the client sends. AmqpChannelError is for `fail`, AmqpConnectionError for the connection's.

    def method(self, payload: bytes) -> None:
        """A method frame of the client."""
        ids = payload[:4]
        if ids == PUBLISH:
            if self.content != "method":
                raise self._out_of_order()
            self._publish = methods.parse_publish(payload)
            self.content = CONTENT["method"]["publish"]
            return
        if self.content != "method":
            raise self._out_of_order()
        if self.core is None or self.state != "open":
            self._unopened(payload)
        elif ids == ACK:
            delivery_tag, multiple = methods.parse_ack(payload)
            self.core.basic_ack(delivery_tag, multiple=multiple)
        elif ids == REJECT:
            delivery_tag, requeue = methods.parse_reject(payload)
            self.core.basic_reject(delivery_tag, requeue=requeue)
        elif ids == NACK:
            delivery_tag, multiple, requeue = methods.parse_nack(payload)
            self.core.basic_nack(delivery_tag, multiple=multiple, requeue=requeue)
        else:
            self._rare(self.core, payload)

    def header(self, payload: bytes) -> None:
        """A content header of the client."""
        if self.content != "header":
            raise self._out_of_order()
        try:
            properties = WireProperties(payload)
        except AmqpError as error:
            raise self._of_content(error) from None
        size = properties.body_size
        self.content = CONTENT["header"]["header" if size else "empty"]
        self._properties = properties
        self._remaining = size
        limit = self.connection.settings.body_bytes_max
        if size > limit and self.state == "open" and self._publish is not None:
            # RabbitMQ waits for all of the body before it says this.
            if self._publish[3]:
                raise self._of_content(not_implemented("immediate=true"))
            raise self._of_content(
                precondition_failed(f"message size {size} is larger than configured max size {limit}")
            )
        if not size:
            self._published(b"")

    def body(self, payload: bytes) -> None:
        """A part of a body of the client."""
        if self.content != "body":
            raise self._out_of_order()
        remaining = self._remaining = self._remaining - len(payload)
        if remaining == 0:
            self.content = CONTENT["body"]["last"]
            self._published(b"".join((*self._parts, payload)) if self._parts else payload)
            return
        self.content = CONTENT["body"]["part"]
        if remaining < 0:
            # RabbitMQ collects what is too much for ever; nothing can come of it, so it is not kept here.
            self._forget_content()
        elif self.state == "open":
            self._parts.append(payload)
            self.connection.count_arriving(len(payload))

    def _published(self, body: bytes) -> None:
        """The message is complete."""
        properties, core, publish = self._properties, self.core, self._publish
        if self._parts:
            self._forget_content()
        self._properties = None
        if core is None or properties is None or publish is None or self.state != "open":
            self._refuse_content()
            return
        exchange, routing_key, mandatory, immediate = publish
        if immediate:
            raise self._of_content(not_implemented("immediate=true"))
        connection = self.connection
        observer = connection.outlet.observer
        if observer is None:
            core.basic_publish(exchange, routing_key, body, properties, mandatory=mandatory)
        else:
            try:
                seen = observer.publishing(connection.user, exchange, routing_key, properties, body)
            except AmqpError:
                # They cannot be read: whether anything is wrong that is looked at before, the rules know.
                core.basic_publish(exchange, routing_key, body, properties, mandatory=mandatory)
                raise
            try:
                message = core.basic_publish(exchange, routing_key, body, seen, mandatory=mandatory)
            except AmqpError as error:
                observer.published(connection.user, error)
                raise
            observer.published(connection.user, message)
        if connection.outlet.conserving:
            connection.block()

    def _refuse_content(self) -> None:
        """The content that is complete cannot be published; a channel that the broker has closed says nothing."""
        if self.state == "unopened":
            raise self._of_content(channel_error("expected 'channel.open'"))
        if self.state == "open":
            raise self._of_content(command_invalid("unimplemented method"))

    def _carry(self, payload: bytes) -> None:
        """A method that no client sends brings a content, which is waited for."""
        self._publish = None
        self._carrier = _IDS.unpack_from(payload)
        self.content = CONTENT["method"]["publish"]

    def _unopened(self, payload: bytes) -> None:
        """A method on a channel that is not open, or that the broker has closed."""
        command = methods.decode(payload)
        if self.state == "unopened" and isinstance(command, _OF_THE_QUEUE_DECLARED_LAST) and not command.queue:
            # RabbitMQ looks for the queue before it looks whether the channel is open.
            raise _of_method(payload, not_found("no previously declared queue"))
        if isinstance(command, _WITH_CONTENT):
            self._carry(payload)
        elif isinstance(command, ChannelClass.Open):
            self._move("open", payload)
        elif isinstance(command, ChannelClass.Close):
            self._move("close", payload)
        elif isinstance(command, ChannelClass.CloseOk):
            self._move("close-ok", payload)
        else:
            self._move("method", payload)

    def _move(self, event: ChannelEvent, payload: bytes) -> None:
        """Go on in the table CHANNEL, and do what that means."""
        before = self.state
        following = CHANNEL[before].get(event)
        if following is None:
            expected = "expected 'channel.open'" if before == "unopened" else "second 'channel.open' seen"
            raise _of_method(payload, channel_error(expected))
        self.state = following
        if before == "unopened":
            core = self.connection.core.open_channel(self.number)
            self.core = core
            self.connection.outlet.channels[core] = self
            self.connection.send(frame(METHOD, self.number, CHANNEL_OPEN_OK))
        elif event == "close":
            if following == "unopened":
                self.connection.outlet.pump()
                self.leave()
            self.send(ChannelClass.CloseOk())
        elif event == "close-ok":
            self.leave()

    def _rare(self, core: Channel, payload: bytes) -> None:
        command = methods.decode(payload)
        # What happened before is told before the answer.
        self.connection.outlet.pump()
        if isinstance(command, Basic.Get):
            self._get(core, command)
        elif isinstance(command, ChannelClass.Close):
            self._move("close", payload)
        elif isinstance(command, ChannelClass.Open):
            self._move("open", payload)
        elif isinstance(command, _WITH_CONTENT):
            self._carry(payload)
        else:
            try:
                answer = dispatch.call(core, command)
            except AmqpError as error:
                raise _of_method(payload, error) from None
            if answer is not None:
                self.send(answer)

    def _get(self, core: Channel, command: Basic.Get) -> None:
        fetched = core.basic_get(command.queue, no_ack=command.no_ack)
        if fetched is None:
            self.send(Basic.GetEmpty(""))
            return
        connection, message = self.connection, fetched.message
        if connection.outlet.observer is not None:
            connection.outlet.observer.fetching(connection.user, fetched)
        try:
            self._send_content(
                methods.get_ok(
                    fetched.delivery_tag,
                    fetched.redelivered,
                    message.exchange,
                    message.routing_key,
                    fetched.message_count,
                ),
                encode_header(message.properties, len(message.body)),
                message.body,
            )
        except UNWRITABLE as error:
            self.give_up(fetched.delivery_tag, error)

    # What the client is sent.

    def deliver(self, delivery: Delivery) -> None:
        """Send a delivery."""
        message, connection = delivery.message, self.connection
        observer = connection.outlet.observer
        properties = message.properties if observer is None else observer.delivering(connection.user, delivery)
        body = message.body
        self._send_content(
            methods.deliver(
                delivery.consumer_tag,
                delivery.delivery_tag,
                delivery.redelivered,
                message.exchange,
                message.routing_key,
            ),
            encode_header(properties, len(body)),
            body,
        )

    def send_back(self, event: Returned) -> None:
        """Send a mandatory message back that no queue took."""
        message = event.message
        self._send_content(
            methods.returned(event.reply_code, event.reply_text, message.exchange, message.routing_key),
            encode_header(message.properties, len(message.body)),
            message.body,
        )

    def confirm(self, delivery_tag: int, ack: bool) -> None:
        """Note a confirm. Those of one kind that follow each other are sent as one, with `multiple`."""
        if ack != self._confirms_ack:
            self.send_confirms()
            self._confirms_ack = ack
        self._confirms += 1
        self._confirmed = delivery_tag

    def send_confirms(self) -> None:
        """Send the confirms that were noted."""
        if self._confirms:
            write = methods.ack if self._confirms_ack else methods.nack
            self.connection.send(frame(METHOD, self.number, write(self._confirmed, self._confirms > 1)))
            self._confirms = 0

    def consumer_cancelled(self, consumer_tag: str) -> None:
        """Tell a client that wants to know that a consumer's queue is gone."""
        if self.connection.has_capability("consumer_cancel_notify"):
            self.send(Basic.Cancel(consumer_tag, nowait=True))

    def send(self, command: Frame) -> None:
        """Send a method without content."""
        self.connection.send(frame(METHOD, self.number, methods.encode(command)))

    def _send_content(self, method: bytes, header: bytes, body: bytes) -> None:
        connection = self.connection
        connection.send(content_frames(self.number, method, header, body, connection.frame_bytes_max))

    # Errors.

    def give_up(self, delivery_tag: int, error: Exception) -> None:
        """End the connection because a message, of the delivery with that tag or of none, cannot be written.

        RabbitMQ requeues the delivery, and so ends the connection of every consumer that comes for it. Here it counts
        as rejected, and ends this connection only.
        """
        if self.core is not None and delivery_tag in self.core.unacked:
            self.core.basic_reject(delivery_tag, requeue=False)
        self.connection.fail(internal_error(f"a message cannot be written: {error}"))

    def fail(self, error: AmqpChannelError) -> None:
        """Close the channel; the core has done so already where the error is its own."""
        connection, core = self.connection, self.core
        connection.outlet.pump()
        if core is not None:
            connection.outlet.channels.pop(core, None)
            core.close()
        self.state = CHANNEL[self.state]["fail"]
        self._forget_content()
        text = methods.reply_text(error.reply_text)
        self.send(ChannelClass.Close(error.reply_code, text, error.class_id, error.method_id))

    def _forget_content(self) -> None:
        """Drop what has arrived of a body; how much is still to come stays known."""
        if self._parts:
            self.connection.count_arriving(-sum(map(len, self._parts)))
            self._parts.clear()
        if self.content == "method":
            self._properties = None

    def _out_of_order(self) -> AmqpError:
        """505, for a frame that is not what the table CONTENT lists."""
        match self.content:
            case "method":
                return unexpected_frame("expected method frame, got non method frame instead")
            case "header":
                return self._of_content(
                    unexpected_frame("expected content header for class 60, got non content header frame instead")
                )
            case "body":
                return self._of_content(unexpected_frame("expected content body, got non content body frame instead"))

    def _of_content(self, error: AmqpError) -> AmqpError:
        error.class_id, error.method_id = self._carrier if self._publish is None else _PUBLISH_IDS
        return error


def _of_method(payload: bytes, error: AmqpError) -> AmqpError:
    """Note in `error` which method failed, where the core has not."""
    if not error.class_id:
        error.class_id, error.method_id = _IDS.unpack_from(payload)
    return error
