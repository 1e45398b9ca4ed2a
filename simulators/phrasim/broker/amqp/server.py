"""The asyncio server: a pump between sockets and `AmqpConnection`, and the timers that it and the brokers need.

Everything that is to be sent to a client in one turn of the loop is sent by one write.
"""

import asyncio
import socket
from collections.abc import Mapping
from functools import partial
from typing import cast

from phrasim.broker.amqp.connection import AmqpConnection
from phrasim.broker.amqp.observer import Observer
from phrasim.broker.amqp.outlet import Outlet
from phrasim.broker.amqp.settings import CLOSING_S, Settings
from phrasim.broker.core import Broker
from phrasim.clock import Clock

LINGER_S = 1
"""Seconds for a client to hang up after the last byte to it."""


class AmqpServer:
    """Serves `brokers`, by the name of their virtual host, over AMQP 0-9-1.

    `clock` is the clock that the brokers have too. Nobody else may drain a broker's events while it is served.
    """

    def __init__(
        self,
        brokers: Mapping[str, Broker],
        clock: Clock,
        settings: Settings | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.clock = clock
        self.settings = settings or Settings()
        self.outlets = self._outlets(brokers, observer)
        self.pumps: dict[Pump, None] = {}
        self.drained = asyncio.Event()
        self._timers: dict[Outlet, tuple[int, asyncio.TimerHandle]] = {}
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Accept connections on `listener`, which is bound."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(partial(Pump, self, loop), sock=listener)
        for outlet in self.outlets.values():
            outlet.pump()

    def replace(self, brokers: Mapping[str, Broker], observer: Observer | None = None) -> None:
        """From now on serve these; every client of those before is told that they ended (320).

        What becomes of messages then, as one after the other leaves, no observer is told.
        """
        gone = tuple(self.outlets.values())
        for outlet in gone:
            outlet.observer = None
        self._cancel_timers()
        self.outlets = self._outlets(brokers, observer)
        for pump in list(self.pumps):
            pump.connection.shut_down("reset")
        for outlet in gone:
            outlet.broker.clear()
        for outlet in self.outlets.values():
            outlet.pump()

    async def stop(self, seconds: float) -> None:
        """Accept no more, tell every client that the broker ends (320), and wait at most `seconds` for it to go."""
        if self._server is not None:
            self._server.close()
        for pump in list(self.pumps):
            pump.connection.shut_down("shutdown")
        self.check_drained()
        try:
            async with asyncio.timeout(seconds):
                await self.drained.wait()
        except TimeoutError:
            for pump in list(self.pumps):
                pump.abort()
            await self.drained.wait()
        self._cancel_timers()

    def check_drained(self) -> None:
        """Note whether the last connection has gone."""
        if self.pumps:
            self.drained.clear()
        else:
            self.drained.set()

    def _outlets(self, brokers: Mapping[str, Broker], observer: Observer | None) -> dict[str, Outlet]:
        held_bytes_max = self.settings.held_bytes_max
        return {vhost: Outlet(broker, held_bytes_max, observer, self._settled) for vhost, broker in brokers.items()}

    def _cancel_timers(self) -> None:
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _settled(self, outlet: Outlet) -> None:
        """Wake the broker when it next has something to do by itself, as with a message that expires.

        One that is served no more is left asleep: its clients settle it while they leave, and with their last answer.
        """
        if outlet not in self.outlets.values():
            return
        deadline = outlet.broker.next_deadline()
        known = self._timers.get(outlet)
        if known is not None:
            if known[0] == deadline:
                return
            known[1].cancel()
            del self._timers[outlet]
        if deadline is not None:
            self._timers[outlet] = deadline, self.clock.call_at(deadline, partial(self._expire, outlet))

    def _expire(self, outlet: Outlet) -> None:
        del self._timers[outlet]
        outlet.broker.expire()
        outlet.pump()


class Pump(asyncio.Protocol):
    """One socket. Reading stops while the connection is stalled or while the client does not read."""

    def __init__(self, server: AmqpServer, loop: asyncio.AbstractEventLoop) -> None:
        self.connection = AmqpConnection(server.outlets, server.settings, server.clock.now_ns, self._wake)
        self._server = server
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._awake = False
        self._ending = False
        self._full = False
        self._reading = True
        self._timer: tuple[int, asyncio.TimerHandle] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        # Not every transport of uvloop is one of asyncio's by its class.
        self._transport = cast("asyncio.Transport", transport)
        self._server.pumps[self] = None
        self._server.check_drained()
        self._set_timer()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self.connection.receive(data)
        self._set_timer()
        self._set_reading()

    def pause_writing(self) -> None:
        """The client does not read: send nothing, and do nothing more for it."""
        self._full = True
        self._set_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._full = False
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The client has gone, or was sent away."""
        self._transport = None
        if self._timer is not None:
            self._timer[1].cancel()
        self.connection.lose()
        self._server.pumps.pop(self, None)
        self._server.check_drained()

    def abort(self) -> None:
        """Close the socket, whatever is still to be sent."""
        if self._transport is not None:
            self._transport.abort()

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send what there is, and go on with what was received."""
        self._awake = False
        if self._transport is None or self._ending or (self._full and not self.connection.closed):
            return
        data = self.connection.data_to_send()
        if data:
            self._transport.write(data)
        if self.connection.closed:
            self._hang_up(self._transport)
            return
        self.connection.go_on()
        self._set_timer()
        self._set_reading()

    def _hang_up(self, transport: asyncio.Transport) -> None:
        """Say that nothing more comes, and wait a little for the client to do the same.

        To close at once, while it still sends, would take from it what it has not read yet: why it was sent away.
        """
        self._ending = True
        if transport.is_closing():
            return
        try:
            transport.write_eof()
        except OSError:
            # The client has gone with our answers unread; asyncio's own loop raises that here, uvloop does not.
            transport.abort()
            return
        if not self._reading:
            transport.resume_reading()
        self._loop.call_later(LINGER_S, transport.close)
        self._loop.call_later(CLOSING_S, transport.abort)

    def _set_reading(self) -> None:
        transport = self._transport
        reading = not (self._full or self.connection.stalled)
        if transport is None or reading == self._reading or self._ending or transport.is_closing():
            return
        self._reading = reading
        if reading:
            transport.resume_reading()
        else:
            transport.pause_reading()

    def _set_timer(self) -> None:
        """Be called when the connection asks to be; a timer that is too early does no harm."""
        at = self.connection.next_timer()
        if at is None or (self._timer is not None and self._timer[0] <= at):
            return
        if self._timer is not None:
            self._timer[1].cancel()
        self._timer = at, self._server.clock.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.connection.on_timer()
        self._set_timer()
