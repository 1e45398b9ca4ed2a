"""The events of some operations, out of all that a journal has."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from phrasim.journal.events import Event, Noted, Sent


class Selection:
    """Picks the events that befall messages of `operations`; to be given all events, in their order.

    What befalls a message is picked where the event that has it in full was seen; notes are not.
    """

    def __init__(self, operations: AbstractSet[str]) -> None:
        self._operations = operations
        self._under_way: set[str] = set()

    def of(self, events: Iterable[Event]) -> list[Event]:
        """Those of them that belong to it."""
        return [event for event in events if self._picks(event)]

    def _picks(self, event: Event) -> bool:
        if isinstance(event, Noted):
            return False
        if isinstance(event.message, str):
            if event.message not in self._under_way:
                return False
            self._under_way.discard(event.message)
            return True
        if event.message.operation_id not in self._operations:
            return False
        if isinstance(event, Sent):
            self._under_way.add(event.message.id)
        return True
