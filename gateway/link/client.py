"""The gateway's end of the link (`link/messages`): connected while there are runs to ask for or to hear of, and longer
if the agent stays. It connects again after every loss.

Events are passed on to the `LinkHandler` as they come; what they mean is decided there.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

import msgspec

from gateway import __version__
from gateway.aio.tasks import Tasks
from gateway.errors import GatewayError
from gateway.link.handler import LinkHandler, Unreachable
from gateway.link.messages import (
    MAX_LINE,
    VERSION,
    Abort,
    Ack,
    Event,
    Hello,
    Lost,
    Start,
    StartRefused,
    ToAgent,
    Welcome,
    decode_to_gateway,
    encode,
    run_of,
)
from gateway.link.spec import Spec
from gateway.link.stream import Dial, Stream, drain_within, read_welcome
from gateway.text.lines import LineSplitter

log = logging.getLogger("gateway.agent")

WELCOME_S = 20.0
"""Seconds from the connection to the agent's welcome: the agent may have to be started."""
PATIENCE_S = 10.0
"""Seconds in which connecting is tried again. Then runs that wait for an agent are told that there is none."""
STEADY_S = 1.0
"""Seconds. A connection that lasts so long, or brings anything, shows that an agent is there: `PATIENCE_S` begins
again."""
QUIET_S = 30.0
"""Seconds without a message while runs go on. Then hello is said again, to see whether the agent lives."""
READ_BYTES = 256 * 1024
"""Bytes of one read."""
TAKE_S = 20.0
"""Seconds in which the agent must take what it is sent."""
LEAVE_S = 0.5
"""Seconds in which the agent must take what it is sent when the process leaves."""
PAUSES_S = (0.02, 0.1, 0.5, 1.0)
"""Seconds between two tries; the last pause repeats."""
ALL = 2**53 - 1
"""Higher than any event's number."""


class OtherLink(GatewayError):
    """The agent speaks another version of the link. The older program of the two is about to be replaced."""


class AgentLink:
    """`dial` raises OSError or GatewayError when no agent can be reached."""

    def __init__(
        self, handler: LinkHandler, dial: Dial, clock: Callable[[], float], pauses: tuple[float, ...] = PAUSES_S
    ) -> None:
        self.agent: Welcome | None = None
        """The welcome of the agent that is connected; None while none is."""
        self._handler = handler
        self._dial = dial
        self._clock = clock
        self._pauses = pauses
        self._waiters: set[asyncio.Future[None]] = set()
        self._writer: asyncio.StreamWriter | None = None
        self._welcomed: float | None = None
        """When the agent said welcome on this connection, by the clock; None before that."""
        self._heard = False
        """The connection has brought anything but a welcome."""
        self._tasks = Tasks(log)
        self._living: asyncio.Task[None] | None = None
        self._closed = False

    # -- what the gateway says -------------------------------------------------------------------------------------

    async def ready(self) -> None:
        """Return when an agent is connected; it may be gone a moment later. Raises Unreachable."""
        if self._writer is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            self.wake()
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def start(self, run: str, spec: Spec) -> bool:
        """Ask the agent for a run; False if none is connected. Raises ValueError if the message is too large."""
        line = encode(Start(run, spec))
        if self._writer is None:
            return False
        self._writer.write(line)
        return True

    async def drain(self) -> None:
        """Return when the agent has taken what it was sent, or is gone. One that takes nothing for `TAKE_S` is cut
        off."""
        if (writer := self._writer) is not None:
            await drain_within(writer, TAKE_S)

    def ack(self, run: str, seq: int) -> None:
        """Events of the run up to `seq` are stored: the agent need not keep them."""
        self._say(Ack(run, seq))

    def abort(self, run: str) -> None:
        """Have the agent end the run."""
        self._say(Abort(run))

    def forget(self, run: str) -> None:
        """Have the agent end the run, and keep nothing of it."""
        self._say(Abort(run))
        self._say(Ack(run, ALL))

    def wake(self) -> None:
        """Connect if there are runs to wait for."""
        if self._living is None and self._needed:
            self._living = self._tasks.spawn(self._live(), "the link to the agent")
            self._living.add_done_callback(self._ended)

    async def close(self) -> None:
        """Send what was said, if the agent takes it, and disconnect. Nothing more is passed to the handler."""
        self._closed = True
        if (writer := self._writer) is not None:
            self._writer = None
            await drain_within(writer, LEAVE_S)
        self._tasks.cancel()
        await self._tasks.join()

    def _say(self, message: ToAgent) -> None:
        # Without a connection it is left out: the next hello says what is stored, and the handler what is to end.
        if self._writer is not None:
            self._writer.write(encode(message))

    @property
    def _needed(self) -> bool:
        return not self._closed and (bool(self._waiters) or self._handler.has_active_runs)

    # -- the connection --------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        trouble: float | None = None
        tries = 0
        while self._needed:
            begun = self._clock()
            error = await self._try()
            now = self._clock()
            if self._shows_an_agent(error, now):
                trouble, tries = None, 0
            elif trouble is None:
                trouble = begun if self._welcomed is None else now
            if isinstance(error, Unreachable) or (trouble is not None and now - trouble >= PATIENCE_S):
                self._give_up(error)
                return
            await asyncio.sleep(self._pauses[min(tries, len(self._pauses) - 1)])
            tries += 1

    async def _try(self) -> Exception | None:
        """Connect once, and return the error that ended the connection; None if the agent closed it."""
        self._welcomed, self._heard = None, False
        try:
            async with self._connected() as (reader, writer):
                await self._listen(reader, writer)
        except (OSError, GatewayError, TimeoutError, EOFError, msgspec.DecodeError, ValueError) as error:
            log.debug("agent: %r", error)
            return error
        except Exception as error:
            log.exception("the connection to the agent is made again")
            return error
        return None

    def _shows_an_agent(self, error: Exception | None, now: float) -> bool:
        if self._welcomed is None or not (error is None or isinstance(error, OSError | EOFError)):
            return False
        return self._heard or now - self._welcomed >= STEADY_S

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._living = None
        if not task.cancelled() and (error := task.exception()):
            self._give_up(error)
        self.wake()  # for runs that came while it ended

    def _give_up(self, error: BaseException | None) -> None:
        why = "it ends as soon as it has begun" if error is None else str(error) or type(error).__name__
        refusal = Unreachable(why if isinstance(error, Unreachable | OtherLink) else f"no agent answers: {why}")
        log.error("%s", refusal)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(refusal)
        self._waiters.clear()
        self._handler.unreachable(refusal)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[Stream]:
        async with asyncio.timeout(WELCOME_S):
            reader, writer = await self._dial()
        try:
            # `drain` returns when the kernel has all of it: half a line must not be left to the next image.
            writer.transport.set_write_buffer_limits(0)
            self._greet(writer)
            async with asyncio.timeout(WELCOME_S):
                welcome = await read_welcome(reader)
            if welcome.version != VERSION:
                raise OtherLink(
                    f"the agent ({welcome.program}) speaks version {welcome.version} of the link and this gateway "
                    f"({__version__}) {VERSION}: openclaw-gateway restart, and systemctl --user restart "
                    f"openclaw-agent.service"
                )
            self._writer, self.agent, self._welcomed = writer, welcome, self._clock()
            self._dismiss(welcome)
            log.info("agent %s answers (pid %d)", welcome.program, welcome.pid)
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
            yield reader, writer
        finally:
            self._writer = self.agent = None
            writer.close()

    def _greet(self, writer: asyncio.StreamWriter) -> None:
        # The newline ends a line that an earlier image of this process may have left unfinished.
        writer.write(b"\n" + encode(Hello(VERSION, self._handler.awaited_runs(), __version__)))

    def _dismiss(self, welcome: Welcome) -> None:
        """End the agent's runs that are not awaited here, and those that were aborted while it was not connected."""
        awaited = self._handler.awaited_runs()
        for run in {*self._handler.aborted_runs(), *(run for run in welcome.runs if run not in awaited)}:
            self.abort(run)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on messages until the agent goes. Raises TimeoutError when it does not answer."""
        lines, now = LineSplitter(MAX_LINE), asyncio.get_running_loop().time
        heard, greeted = now(), False
        while True:
            try:
                # One timer for all that comes in its time: moving it for each piece costs as much as reading the piece.
                async with asyncio.timeout_at(heard + QUIET_S) as patience:
                    while data := await reader.read(READ_BYTES):
                        heard, greeted = now(), False
                        for line in lines.feed(data):
                            if not self._closed:
                                self._pass_on(line)
                log.info("the agent has gone")
                return
            except TimeoutError:
                if not patience.expired():
                    raise
            if now() < heard + QUIET_S:
                continue
            if greeted:
                raise TimeoutError("it does not answer")
            heard = now()
            if greeted := self._handler.has_active_runs:
                self._greet(writer)

    def _pass_on(self, line: bytes) -> None:
        try:
            message = decode_to_gateway(line)
        except msgspec.DecodeError as error:
            if (run := run_of(line)) is None:
                raise
            log.error("an event of run %s cannot be read: %s", run, error)
            self._handler.unreadable(run)
            return
        self._heard |= not isinstance(message, Welcome)
        match message:
            case Event():
                self._handler.received(message)
            case Lost(run=run):
                self._handler.lost(run)
            case StartRefused():
                self._handler.refused(message)
            case Welcome():
                self._dismiss(message)
