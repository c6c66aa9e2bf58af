"""Counts what is read from one connection and written to it, and writes its points into the ledger. Pure.

A point at rest says that nothing is under way once so many bytes are read and so many are written. Something is under
way from `add_read` until `parsed` says that whole messages were read, while the caller says that the connection is not
`idle` (the application has a message, or the transport has unsent bytes), and while the application gives no `seq`.
"""

from collections.abc import Callable
from typing import Protocol

from gateway.handover.verdict import InFlight


class PointLog(Protocol):
    """A connection's slot in the ledger."""

    def note_rest(self, read: int, written: int, seq: int) -> None: ...
    def note_busy(self, written: int) -> None: ...


class Points:
    __slots__ = ("_log", "_partial", "_seq", "_unsent", "read", "written")

    def __init__(self) -> None:
        self.read = self.written = 0
        """Bytes given to us and to the transport; from `start` on they are counted as the kernel counts them."""
        self._log: PointLog | None = None
        self._seq: Callable[[], int | None] = _nothing
        self._partial = False
        """Bytes have been read behind the last whole message, or are being parsed."""
        self._unsent: list[bytes] = []
        """Writes since the transport last had nothing to send."""

    def start(self, log: PointLog, seq: Callable[[], int | None], read: int, written: int) -> None:
        """Write points into `log` from now on. `read` and `written` are the bytes up to here.

        `seq` returns the number of the last event, or None while something is under way for the application.
        """
        self._log, self._seq = log, seq
        self.read, self.written = read, written

    def stop(self) -> None:
        self._log, self._seq = None, _nothing

    def add_read(self, size: int) -> None:
        """So many bytes have been read. Call `parsed` when the messages in them are with the application."""
        self.read += size
        self._partial = True

    def parsed(self, whole: bool) -> None:
        """`whole`: nothing was read behind the last whole message."""
        self._partial = not whole

    def add_written(self, size: int, idle: bool) -> None:
        """Call it before so many bytes are written. `idle` is the state before the write."""
        self.written += size
        if self._log is not None and not self._rest(idle):
            self._log.note_busy(self.written)

    def add_unsent(self, data: bytes) -> None:
        """The transport has not sent the whole of `data`, which was written last."""
        self._unsent.append(data)

    def flushed(self) -> None:
        """The transport has nothing to send."""
        self._unsent = []

    def checkpoint(self, idle: bool) -> None:
        """Write a point if nothing is under way."""
        if self._log is not None:
            self._rest(idle)

    def _rest(self, idle: bool) -> bool:
        if self._partial or not idle or self._log is None or (seq := self._seq()) is None:
            return False
        self._log.note_rest(self.read, self.written, seq)
        return True

    def mark_busy(self) -> None:
        """Overwrite both points of the slot: neither says any more that the connection is at rest."""
        if self._log is not None:
            self._log.note_busy(self.written)
            self._log.note_busy(self.written)

    def in_flight(self, seq: int, buffered: int, tail: bytes, queued: bytes) -> InFlight | None:
        """Return what the next process needs beyond the last point, or None if a point says all.

        `buffered` is the number of bytes that the transport has not sent, `tail` what was read and not handled,
        `queued` what is still to be written. Nothing may be read or written after this.
        """
        written = self.written - buffered
        if not (tail or buffered or queued):
            if self._log is not None:
                self._log.note_rest(self.read, written, seq)
            return None
        unsent = b"".join(self._unsent)[-buffered:] if buffered else b""
        return InFlight(self.read, written, seq, tail, unsent + queued)


def _nothing() -> None: ...
