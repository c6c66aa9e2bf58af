"""Judges whether an inherited connection goes on, by its points, the handoff and the kernel's counters. Pure.

counted by the kernel                                    then
closed by the peer                                       drop
as the handoff says                                      adopt, with what was read and unsent
as a point of the ledger says                            adopt: nothing was under way
written as a point says, more read                       close 1012: a request, or a part of one, is lost
something else                                           drop: the client has half a message
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from msgspec import Struct


class Counters(NamedTuple):
    """The kernel's counters of a connection."""

    read: int
    """Bytes that have been taken out of it since its beginning."""
    written: int
    """Bytes that have been put into it, whether they have arrived or not."""
    established: bool
    """Neither side has closed it. If not, `read` may count the peer's FIN as a byte."""


class Point(NamedTuple):
    """Nothing was under way when so many bytes were read and so many were written."""

    read: int
    written: int
    seq: int
    """The number of the last event that is in `written`."""


class InFlight(Struct, frozen=True, array_like=True):
    """A connection in the handoff: it was not at rest when its process left."""

    read: int
    written: int
    seq: int
    tail: bytes
    """Frames of the client that were read and not given to the application."""
    unsent: bytes
    """The bytes that come next on the wire: the rest of a frame that is sent in part, then whole ones."""


Reason = Literal["gone", "unanswered", "half-sent", "unreadable", "auth"]


class Adoption(Struct, frozen=True):
    """The connection goes on."""

    seq: int
    tail: bytes = b""
    unsent: bytes = b""


class Rejection(Struct, frozen=True):
    """The connection ends."""

    reason: Reason
    closable: bool
    """The client understands a close frame: the last bytes written were the end of a whole message."""


def judge(counted: Counters, points: Sequence[Point], in_flight: InFlight | None) -> Adoption | Rejection:
    if not counted.established:
        return Rejection("gone", closable=False)
    if in_flight is not None:
        if (in_flight.read, in_flight.written) == (counted.read, counted.written):
            return Adoption(in_flight.seq, in_flight.tail, in_flight.unsent)
        return Rejection("half-sent" if in_flight.unsent else "unanswered", closable=not in_flight.unsent)
    for point in points:
        if (point.read, point.written) == (counted.read, counted.written):
            return Adoption(point.seq)
    if any(point.written == counted.written for point in points):
        return Rejection("unanswered", closable=True)
    return Rejection("half-sent", closable=False)
