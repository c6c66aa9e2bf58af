"""What becomes of a connection that a predecessor has left. Pure: what it wrote down, and what the kernel has counted.

counted by the kernel                                    then
closed by the peer                                       drop
as a parting says that it was left                       adopt, with what was read and unsent
as a point of the ledger says                            adopt: nothing was under way
written as a point says, more read                       close 1012: a request, or a part of one, is lost
something else                                           drop: the client has half a message
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from msgspec import Struct


class Counters(NamedTuple):
    """What the kernel has counted of a connection."""

    read: int
    """Bytes that have been taken out of it since its beginning."""
    written: int
    """Bytes that have been put into it, whether they have arrived or not."""
    established: bool
    """Neither side has closed it. If not, `read` may count the peer's FIN as a byte."""


class Point(NamedTuple):
    """When so much was read and so much was written, nothing was under way."""

    read: int
    written: int
    seq: int
    """Of the last event that is in `written`."""


class Held(Struct, frozen=True, array_like=True):
    """A connection that was left on purpose in the middle of something."""

    read: int
    written: int
    seq: int
    tail: bytes
    """What has been read and not been given to the application, as the client would send it anew."""
    unsent: bytes
    """What comes next on the wire: the rest of a frame that is half sent, then whole ones."""


Reason = Literal["gone", "unanswered", "half-sent", "unreadable", "auth"]


@dataclass(frozen=True)
class Adopt:
    seq: int
    tail: bytes = b""
    unsent: bytes = b""


@dataclass(frozen=True)
class Refuse:
    reason: Reason
    closable: bool
    """Whether a close frame can be understood: the last thing written was a whole message."""


def judge(counted: Counters, points: Sequence[Point], held: Held | None) -> Adopt | Refuse:
    if not counted.established:
        return Refuse("gone", closable=False)
    if held is not None:
        if (held.read, held.written) == (counted.read, counted.written):
            return Adopt(held.seq, held.tail, held.unsent)
        return Refuse("half-sent" if held.unsent else "unanswered", closable=not held.unsent)
    for point in points:
        if (point.read, point.written) == (counted.read, counted.written):
            return Adopt(point.seq)
    if any(point.written == counted.written for point in points):
        return Refuse("unanswered", closable=True)
    return Refuse("half-sent", closable=False)
