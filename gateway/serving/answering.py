"""An API's answer that outlives the process: what its request offers to the application beside ASGI.

The ASGI scope gets an `Answering` under the key `scopes.ANSWERING`. A piece of the body is written at once and waits
until the client has taken it, so at most one is on its way. When the process leaves, the application describes how far
its answer is, and the next process goes on from that; where there is no next process, the client is told so.
"""

from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.handover.handoff import PendingAnswer


class Answering:
    def __init__(self, cycle: RequestResponseCycle, pending: PendingAnswer | None = None) -> None:
        self.resumed = pending.state if pending else None
        """The description that another process's application gave; the request itself is not there any more."""
        self.given_up = False
        """The client was disconnected by us, because the process leaves."""
        self._cycle = cycle
        self._describe: Callable[[], bytes] | None = (lambda: pending.state) if pending else None
        self._last = pending.unsent if pending else b""
        """The latest write, as far as it was made here."""
        self._farewell = b""

    @property
    def cycle(self) -> RequestResponseCycle:
        return self._cycle

    @property
    def begun(self) -> bool:
        """The head has been sent."""
        return self._cycle.response_started

    def offer(self, describe: Callable[[], bytes], farewell: bytes = b"") -> None:
        """Let another process go on from here. `describe` is called then, and tells of all that was given to `write`.

        What was sent by ASGI must be before this; wait until it is `taken`. `farewell` is the end of a body that has
        begun, for the client of an answer that no process goes on with.
        """
        self._describe, self._farewell = describe, farewell
        if not self._cycle.transport.is_closing():
            self._cycle.transport.set_write_buffer_limits(0)

    async def taken(self) -> None:
        """Return when the client has taken what was written, or is gone."""
        await self._cycle.flow.drain()

    def withdraw(self) -> None:
        """Take the offer back: the rest is written now, by ASGI."""
        self._describe = None

    async def write(self, data: bytes) -> None:
        """Write a piece of the body, once the one before is `taken`; return when this one is."""
        if not self._cycle.disconnected:
            self._last = _chunk(data)
            self._cycle.transport.write(self._last)
        await self.taken()

    @property
    def portable(self) -> bool:
        """Another process can go on: the answer is offered, and no more than its latest piece is unsent."""
        if self._describe is None or self._cycle.response_complete or self._cycle.disconnected:
            return False
        return self._cycle.transport.get_write_buffer_size() <= len(self._last)

    def pending(self) -> PendingAnswer:
        """Return what another process needs to go on. Nothing may be written after this."""
        assert self._describe is not None
        cycle = self._cycle
        unsent = cycle.transport.get_write_buffer_size()
        rest = self._last[-unsent:] if unsent else b""
        return PendingAnswer(cycle.scope["path"], self._describe(), cycle.response_started, cycle.keep_alive, rest)

    def give_up(self) -> bytes:
        """Note that no process goes on, and return what is to be written before the end."""
        self.given_up = True
        begun = self._farewell and self._cycle.response_started and not self._cycle.response_complete
        return _chunk(self._farewell) + _chunk(b"") if begun else b""


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
