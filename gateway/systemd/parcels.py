"""Descriptors that the service manager keeps in bulk: they are in flight inside of sockets, of which it has both ends.

The manager compares each descriptor that it is given with all that it has, so a thousand cost it a million comparisons.
A parcel is one pair of datagram sockets in its store. A descriptor is put into it by a message from one end to the
other (SCM_RIGHTS), which nobody receives: it costs the manager nothing, and is kept from that moment on. The next
process peeks at the messages and leaves them where they are, so a reader that dies half way has taken nothing.

A message cannot be taken out of the middle. What was removed stays in flight until a parcel has more of it than of the
rest, which is put into another parcel then. So who removes a connection shuts it down, and does not only close it.
"""

import array
import errno
import fcntl
import logging
import os
import socket
import struct
import termios
import time
from collections.abc import Collection, Iterable, Iterator

from gateway.systemd.fdstore import FdStore

log = logging.getLogger("gateway.systemd")

PARCEL = "parcel-"
"""Beginning of the names of both ends."""
MOST_REMOVED = 64
"""What a small parcel may have of what was removed."""
NAME_BYTES = 256
_SO_PEEK_OFF = 42
_RIGHTS = socket.CMSG_SPACE(array.array("i").itemsize)


class Parcel:
    def __init__(self, name: str, ends: tuple[socket.socket, ...]) -> None:
        self.name = name
        self.ends = ends
        """The one that is written to, and the one that is peeked at."""
        self.names: set[str] = set()
        """Of what is in it and was not removed."""
        self.messages = 0

    def put(self, name: str, fd: int) -> bool:
        """False if it is full. Raises OSError if no more may be in flight."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        try:
            self.ends[0].sendmsg([name.encode()], rights)
        except BlockingIOError:
            return False
        self.names.add(name)
        self.messages += 1
        return True

    def peek(self, duplicate: bool) -> Iterator[tuple[str, int]]:
        """The name of each message, with a new duplicate of its descriptor, or -1."""
        end = self.ends[-1]
        end.setsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF, 0)  # each look is at the next message then
        flags = socket.MSG_PEEK | socket.MSG_CMSG_CLOEXEC
        while True:
            try:
                data, rights, _, _ = end.recvmsg(NAME_BYTES, _RIGHTS if duplicate else 0, flags)
            except BlockingIOError:
                return
            yield data.decode(), struct.unpack("i", rights[0][2])[0] if rights else -1

    def close(self) -> None:
        for end in self.ends:
            end.close()


def make_parcel() -> Parcel:
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    return Parcel(f"{PARCEL}{time.monotonic_ns()}", ends)


def inherit_parcel(name: str, fds: Iterable[int]) -> Parcel:
    """The parcel with these ends, which may come in any order."""
    ends = [socket.socket(fileno=fd) for fd in fds]
    for end in ends:
        end.setblocking(False)
    return Parcel(name, tuple(sorted(ends, key=_has_messages)))


def _has_messages(end: socket.socket) -> bool:
    (size,) = struct.unpack("i", fcntl.ioctl(end.fileno(), termios.FIONREAD, b"\0" * 4))
    return bool(size)


class Parcels:
    """All parcels of this process. Without a manager, every method does nothing."""

    def __init__(self, store: FdStore, inherited: Iterable[Parcel] = ()) -> None:
        self._store = store
        self._parcels = list(inherited)
        self._of: dict[str, Parcel] = {}
        for parcel in self._parcels:
            for name in parcel.names:
                if (other := self._of.get(name)) is not None:
                    other.names.discard(name)  # the process before has put it into another one, and died
                self._of[name] = parcel
        self._fds: dict[str, int] = {}
        self._single: set[str] = set()
        """What was given to the manager by itself, because no more may be in flight."""
        self._last = self._parcels[-1] if self._parcels and len(self._parcels[-1].ends) == 2 else None

    @property
    def stored(self) -> int:
        """How many descriptors the manager has for them."""
        return 2 * len(self._parcels) + len(self._single)

    @property
    def passed(self) -> list[tuple[str, int]]:
        """Names and descriptors for the next image in this process."""
        return [(parcel.name, end.fileno()) for parcel in self._parcels for end in parcel.ends]

    def __contains__(self, name: str) -> bool:
        return name in self._of

    def put(self, name: str, fd: int) -> None:
        """Keep `fd` as `name`. It must stay open until it is removed, or the process ends."""
        if not self._store.available:
            return
        self._fds[name] = fd
        try:
            parcel = self._put(name, fd)
        except OSError as error:
            log.debug("%s is stored by itself: %s", name, error)
            self._of.pop(name, None)
            self._single.add(name)
            self._store.put(name, fd)
        else:
            self._of[name] = parcel

    def know(self, name: str, fd: int) -> None:
        """What was inherited as `name` has this descriptor now."""
        if name in self._of:
            self._fds[name] = fd

    def remove(self, name: str) -> None:
        """Forget it. A connection must have been shut down, or be about to: it may stay in flight for a while."""
        self._fds.pop(name, None)
        parcel = self._of.pop(name, None)
        if parcel is None:
            self._single.discard(name)
            self._store.remove(name)
            return
        parcel.names.discard(name)
        self._reduce(parcel)

    def release(self) -> None:
        """Give up all that is in them: nothing of it is known any more."""
        self._of.clear()
        for parcel in list(self._parcels):
            self._drop(parcel)

    def retain(self, names: Collection[str]) -> None:
        """The process before has removed all others; `shut_down_removed` ends those that it did not come to end."""
        for name in self._of.keys() - names:
            self._of.pop(name).names.discard(name)

    def shut_down_removed(self) -> None:
        """Shut down what was removed and is still in flight."""
        for parcel in list(self._parcels):
            if parcel.messages > len(parcel.names):
                for name, fd in parcel.peek(duplicate=True):
                    if name in parcel.names:
                        os.close(fd)
                    else:
                        shut_down(fd)
                self._reduce(parcel)

    def _put(self, name: str, fd: int) -> Parcel:
        if self._last is None or not self._last.put(name, fd):
            self._last = self._make()
            if not self._last.put(name, fd):
                raise BlockingIOError(errno.EAGAIN, "an empty parcel takes nothing")
        return self._last

    def _make(self) -> Parcel:
        parcel = make_parcel()
        self._parcels.append(parcel)
        self._store.put(parcel.name, *(end.fileno() for end in parcel.ends))
        return parcel

    def _reduce(self, parcel: Parcel) -> None:
        """If little is left in it, put that into another one, and drop it. The manager hears of the other one first."""
        removed = parcel.messages - len(parcel.names)
        if parcel.names and removed <= max(MOST_REMOVED, len(parcel.names)):
            return
        if not self._fds.keys() >= parcel.names:
            return  # not all of what was inherited is adopted yet
        if parcel is self._last:
            self._last = None
        for name in sorted(parcel.names):
            self.put(name, self._fds[name])
        self._drop(parcel)

    def _drop(self, parcel: Parcel) -> None:
        if parcel is self._last:
            self._last = None
        self._parcels.remove(parcel)
        self._store.remove(parcel.name)
        parcel.close()


def shut_down(fd: int) -> None:
    """Close a connection of which duplicates may be in flight."""
    with socket.socket(fileno=fd) as sock:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended before


def open_parcels(found: dict[str, list[int]], duplicate: bool) -> tuple[tuple[Parcel, ...], dict[str, int]]:
    """Parcels by the names and descriptors of their ends, and what is in them: a name that is there twice comes once.

    `duplicate`: also its descriptor, which the process does not have.
    """
    parcels = []
    held: dict[str, int] = {}
    for name, fds in found.items():
        parcels.append(parcel := inherit_parcel(name, fds))
        for each, fd in parcel.peek(duplicate):
            parcel.messages += 1
            parcel.names.add(each)
            if each not in held:
                held[each] = fd
            elif fd >= 0:
                os.close(fd)
    return tuple(parcels), held
