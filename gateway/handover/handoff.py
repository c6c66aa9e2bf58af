"""The handoff: what a process that leaves on purpose passes on of connections that are not at rest.

These are bytes that were read and not handled, bytes that were not sent, and how far answers over HTTP have come. They
lie in a memfd of their own, whose descriptor is named `parting`; after a crash there is none.
"""

import os

import msgspec
from msgspec import Struct

from gateway.handover.verdict import InFlight

VERSION = 2
READABLE = (1, VERSION)
"""1 has no answers. A reader of 1 would take a connection with an answer for idle, so this is another version."""
MAX_BYTES = 64 * 1024 * 1024
"""The bound for all connections together; those that do not fit are closed."""


class PendingAnswer(Struct, frozen=True, array_like=True):
    """An answer over HTTP that is not whole."""

    path: str
    """The request's."""
    state: bytes
    """The application's description of the answer, in an encoding of its own."""
    begun: bool
    """The head has been sent, and the body is sent in chunks."""
    keep_alive: bool
    """Another request may follow on the connection."""
    unsent: bytes
    """The bytes that come next on the wire."""

    @property
    def size(self) -> int:
        return len(self.state) + len(self.unsent)


class Handoff(Struct, frozen=True):
    left_at: float
    """Monotonic seconds at which the last client was read."""
    held: dict[int, InFlight] = {}
    """By id of the ledger."""
    answers: dict[str, PendingAnswer] = {}
    """By the name of the connection's descriptor; an HTTP connection without one is idle."""
    version: int = VERSION


def write_handoff(handoff: Handoff) -> int:
    """Return a descriptor, close-on-exec. Raise OSError if there is no memory for it."""
    fd = os.memfd_create("openclaw-gateway-parting", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(msgspec.msgpack.encode(handoff))
    except OSError:
        os.close(fd)
        raise
    return fd


def read_handoff(fd: int) -> Handoff | None:
    """Read, empty and close it; None if another version has written it, whose connections cannot be taken over.

    It is emptied because what was read and is passed on here must not be served twice, even if this process dies now.
    """
    with os.fdopen(fd, "rb+") as file:
        file.seek(0)
        data = file.read()
        file.truncate(0)
    try:
        handoff = msgspec.msgpack.decode(data, type=Handoff)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return handoff if handoff.version in READABLE else None
