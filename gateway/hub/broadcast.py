"""One event on its way to many clients, in the form that each of them gets."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from msgspec import Struct

from gateway.hub.connection import Connection
from gateway.protocol.frames import EventFrame, StateVersion
from gateway.protocol.scopes import Scope

Kind = TypeVar("Kind", bound=Hashable)


class Broadcast(Struct, Generic[Kind], frozen=True):
    """The payload is made, and serialised, once for each kind of client."""

    event: str
    kind_of: Callable[[Connection], Kind | None]
    """Clients of one kind get the same payload; a client of None gets no event, and sees no gap either."""
    make: Callable[[Kind], object]
    """The payload for a kind, of values that JSON has."""
    drop_if_slow: bool = False
    """A client that is too slow loses the event; otherwise it loses its connection."""
    state_version: StateVersion | None = None
    _frames: dict[Kind, EventFrame] = {}

    def offer(self, connection: Connection) -> bool:
        """Queue the event for one client; False if it is not queued. Raises what `make` and the encoder raise."""
        if (kind := self.kind_of(connection)) is None:
            return False
        frame = self._frames.get(kind)
        if frame is None:
            frame = self._frames[kind] = EventFrame(self.event, self.make(kind), self.state_version)
        return connection.offer(frame, self.drop_if_slow)


def all_alike(scope: Scope | None, min_protocol: int) -> Callable[[Connection], bool | None]:
    """A `kind_of` for one payload: only for those who have the scope (or are admin), and speak this protocol or a
    newer one."""

    def kind_of(connection: Connection) -> bool | None:
        return (connection.speaks(min_protocol) and (scope is None or connection.may_hear(scope))) or None

    return kind_of
