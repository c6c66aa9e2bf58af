"""What a process that leaves on purpose passes on of the connections that are not at rest: read and unsent bytes, and
how far answers over HTTP had come.

A memfd of its own, made at the last moment and given on whole; after a crash there is none.
"""

import os

import msgspec
from msgspec import Struct

from gateway.handover.verdict import Held

VERSION = 2
READABLE = (1, VERSION)
"""1 has no answers. A reader of 1 must not take a connection that has one for idle: so this is another version."""
MAX_BYTES = 64 * 1024 * 1024
"""Of all connections together; who does not fit is closed."""


class PendingAnswer(Struct, frozen=True, array_like=True):
    """An answer over HTTP that was left before its end."""

    path: str
    """Of the request."""
    state: bytes
    """What the application goes on with, in words of its own."""
    begun: bool
    """The head has been sent, and the body is sent in chunks."""
    keep_alive: bool
    """Whether another request may follow."""
    unsent: bytes
    """What comes next on the wire."""

    @property
    def size(self) -> int:
        return len(self.state) + len(self.unsent)


class Handoff(Struct, frozen=True):
    left_at: float
    """Monotonic seconds; from then on no client was read."""
    held: dict[int, Held] = {}
    """By the id of the ledger."""
    answers: dict[str, PendingAnswer] = {}
    """By the name of the connection's descriptor; an HTTP connection without one is idle."""
    version: int = VERSION


def write(parting: Handoff) -> int:
    """A descriptor, close-on-exec. Raise OSError if there is no memory for it."""
    fd = os.memfd_create("openclaw-gateway-parting", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(msgspec.msgpack.encode(parting))
    except OSError:
        os.close(fd)
        raise
    return fd


def read(fd: int) -> Handoff | None:
    """Empties and closes it. None for what another version has written: its connections cannot be gone on with.

    Whoever dies from here on has taken it: what was read and is passed on here must not be served a second time.
    """
    with os.fdopen(fd, "rb+") as file:
        file.seek(0)
        data = file.read()
        file.truncate(0)
    try:
        parting = msgspec.msgpack.decode(data, type=Handoff)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return parting if parting.version in READABLE else None
