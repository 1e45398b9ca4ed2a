"""Where the events of one virtual host's broker leave it: each goes to the channel on the wire that it is for."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from phrasim.broker.amqp.observer import Observer
from phrasim.broker.amqp.tables import UNWRITABLE
from phrasim.broker.channel import Channel
from phrasim.broker.core import Broker
from phrasim.broker.events import Confirmed, ConsumerCancelled, Delivery, Returned

if TYPE_CHECKING:
    from phrasim.broker.amqp.channel import AmqpChannel
    from phrasim.broker.amqp.connection import AmqpConnection

RELIEF = 0.8
"""The part of the high-water mark below which publishers that wait may go on."""


def _nobody(outlet: "Outlet") -> None:
    """Nobody waits for this outlet's deadlines."""


class Outlet:
    """The wire side of one broker: `channels` and `connections` that speak to it.

    `conserving` is true while the broker holds more than `held_bytes_max`: then whoever publishes has to wait.
    `arriving_bytes` are those of the unfinished bodies of all connections. `settled` is called with this outlet after
    every `pump`: the broker's next deadline may have changed.
    """

    def __init__(
        self,
        broker: Broker,
        held_bytes_max: int,
        observer: Observer | None = None,
        settled: "Callable[[Outlet], None]" = _nobody,
    ) -> None:
        self.broker = broker
        self.observer = observer
        self.channels: dict[Channel, AmqpChannel] = {}
        self.connections: dict[AmqpConnection, None] = {}
        self.conserving = False
        self.arriving_bytes = 0
        self._held_bytes_max = held_bytes_max
        self._settled = settled
        self._pumping = False

    def pump(self) -> None:
        """Hand the broker's events out, in their order; confirms of one channel together, behind the rest."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self.broker.events:
                self._hand_out()
        finally:
            self._pumping = False
        self._conserve()
        self._settled(self)

    def _hand_out(self) -> None:
        channels = self.channels
        confirmed: dict[AmqpChannel, None] = {}
        for event in self.broker.drain():
            if isinstance(event, Confirmed):
                channel = channels.get(event.channel)
                if channel is not None:
                    channel.confirm(event.delivery_tag, event.ack)
                    confirmed[channel] = None
            elif isinstance(event, Delivery):
                channel = channels.get(event.channel)
                if channel is not None:
                    self._send(channel, event)
            elif isinstance(event, Returned):
                if self.observer is not None:
                    self.observer.happened(event)
                channel = channels.get(event.channel)
                if channel is not None:
                    self._send(channel, event)
            elif isinstance(event, ConsumerCancelled):
                channel = channels.get(event.channel)
                if channel is not None:
                    channel.consumer_cancelled(event.consumer_tag)
            elif self.observer is not None:
                self.observer.happened(event)
        for channel in confirmed:
            channel.send_confirms()

    def _send(self, channel: "AmqpChannel", event: Delivery | Returned) -> None:
        """Send a message to a client. One that AMQP has no bytes for ends the client's connection, once."""
        try:
            if isinstance(event, Delivery):
                channel.deliver(event)
            else:
                channel.send_back(event)
        except UNWRITABLE as error:
            channel.give_up(event.delivery_tag if isinstance(event, Delivery) else 0, error)

    def _conserve(self) -> None:
        mark = self._held_bytes_max * (RELIEF if self.conserving else 1)
        conserving = self.broker.held_bytes > mark
        if conserving == self.conserving:
            return
        self.conserving = conserving
        if not conserving:
            for connection in list(self.connections):
                connection.unblock()
