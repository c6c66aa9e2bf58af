"""What an API's request offers to the application beside ASGI: an answer that outlives the process, written in pieces.

The ASGI scope gets an `Answering` under the key `scopes.ANSWERING`. A piece is written at once and
waits until the client has taken it, so at most one is on its way. When the process leaves, what the application says of
its answer goes to the next one, which goes on with `resumed`; where nobody comes after us, the client is told so.
"""

from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.handover.handoff import PendingAnswer


class Answering:
    def __init__(self, cycle: RequestResponseCycle, left: PendingAnswer | None = None) -> None:
        self.resumed = left.state if left else None
        """What another process's application has said of this answer; the request itself is not there any more."""
        self.given_up = False
        """That the client is gone is the gateway's own doing."""
        self._cycle = cycle
        self._describe: Callable[[], bytes] | None = (lambda: left.state) if left else None
        self._last = left.unsent if left else b""
        """What was written last, as far as it was written here."""
        self._farewell = b""

    @property
    def cycle(self) -> RequestResponseCycle:
        return self._cycle

    @property
    def begun(self) -> bool:
        """The head has been sent."""
        return self._cycle.response_started

    def offer(self, describe: Callable[[], bytes], farewell: bytes = b"") -> None:
        """From now on another process can go on, with what `describe` says then: of all that was given to `write`.

        What was sent by ASGI must be before this; wait until it is `taken`. `farewell` is the end of a body that has
        begun, for a client that nobody goes on with.
        """
        self._describe, self._farewell = describe, farewell
        if not self._cycle.transport.is_closing():
            self._cycle.transport.set_write_buffer_limits(0)

    async def taken(self) -> None:
        """Until the client has taken what there is, or is gone."""
        await self._cycle.flow.drain()

    def withdraw(self) -> None:
        """The rest is written now, by ASGI."""
        self._describe = None

    async def write(self, data: bytes) -> None:
        """A piece of the body, once the one before is `taken`; returns when this one is."""
        if not self._cycle.disconnected:
            self._last = _chunk(data)
            self._cycle.transport.write(self._last)
        await self.taken()

    @property
    def portable(self) -> bool:
        if self._describe is None or self._cycle.response_complete or self._cycle.disconnected:
            return False
        return self._cycle.transport.get_write_buffer_size() <= len(self._last)

    def left(self) -> PendingAnswer:
        """Nothing may be written after this."""
        assert self._describe is not None
        cycle = self._cycle
        unsent = cycle.transport.get_write_buffer_size()
        rest = self._last[-unsent:] if unsent else b""
        return PendingAnswer(cycle.scope["path"], self._describe(), cycle.response_started, cycle.keep_alive, rest)

    def give_up(self) -> bytes:
        """What is to be written before the end."""
        self.given_up = True
        begun = self._farewell and self._cycle.response_started and not self._cycle.response_complete
        return _chunk(self._farewell) + _chunk(b"") if begun else b""


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
