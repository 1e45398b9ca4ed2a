"""When a heartbeat must be sent, and when the other side has been silent for too long (AMQP 0-9-1 §4.2.7).

As RabbitMQ does it: one is sent after half the interval without a byte sent, and two intervals without a byte
received end the connection. Times are whole nanoseconds of the run's clock.
"""

NS_PER_S = 1_000_000_000


class Heartbeats:
    """The heartbeats of one connection, off until `start`; any traffic counts."""

    __slots__ = ("_interval", "_watching", "received_at", "sent_at")

    def __init__(self, now: int) -> None:
        self.sent_at = now
        self.received_at = now
        self._interval = 0
        self._watching = True

    def start(self, seconds: int, now: int) -> None:
        """Begin, with the agreed interval; 0 seconds is never."""
        self._interval = seconds * NS_PER_S
        self.sent_at = self.received_at = now

    def watch(self, watching: bool, now: int) -> None:
        """Stop watching for the other side's bytes while nobody reads them, and begin again."""
        if watching and not self._watching:
            self.received_at = now
        self._watching = watching

    def send_at(self) -> int | None:
        """When the next one is to be sent; None for never."""
        return self.sent_at + self._interval // 2 if self._interval else None

    def dead_at(self) -> int | None:
        """When the other side is to be given up; None for never."""
        return self.received_at + 2 * self._interval if self._interval and self._watching else None
