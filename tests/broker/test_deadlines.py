"""Many queues, each with deadlines that move far more often than they are reached."""

from phrasim.broker import Broker, Channel
from phrasim.broker.deadlines import STALE_ENTRIES_MIN


def test_deadlines_that_moved_are_swept_and_none_that_counts_is_lost(broker: Broker, channel: Channel, clock) -> None:
    for name in ("early", "late"):
        channel.queue_declare(name, arguments={"x-expires": 1_000})
    for _ in range(10 * STALE_ENTRIES_MIN):
        clock.advance_ms(1)
        channel.basic_get("late")
        assert len(broker.deadlines.heap) <= STALE_ENTRIES_MIN + 5
    assert broker.next_deadline() == 1_000_000_000
    clock.advance_ms(360)
    broker.expire()
    assert list(broker.queues) == ["late"]
    clock.advance_ms(1_000)
    broker.expire()
    assert list(broker.queues) == []
