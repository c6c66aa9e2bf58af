"""The gateway's end of the link (`link/messages`): connected as long as there is a run to ask for or to hear of, and
longer if the agent stays; again after every loss.

What a run's events mean is the affair of the `LinkHandler`; here they are passed on as they come.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

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

log = logging.getLogger("gateway.agent")

WELCOME_S = 20.0
"""From the connection to the agent's welcome: it may have to be started."""
PATIENCE_S = 10.0
"""In which connecting is tried again, before those that wait for an agent are told that there is none."""
STEADY_S = 1.0
"""A connection that lasts so long, or brings anything, shows that there is an agent: patience begins anew."""
QUIET_S = 30.0
"""Without a word of runs that go on, after which the agent is greeted again, to see whether it lives."""
TAKE_S = 20.0
"""In which the agent takes what it is told."""
LEAVE_S = 0.5
"""The same when the process leaves."""
PAUSES_S = (0.02, 0.1, 0.5, 1.0)
"""Between two tries; the last one again and again."""
ALL = 2**53 - 1
"""More than any event's number."""
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Dial = Callable[[], Awaitable[Stream]]


class OtherLink(GatewayError):
    """Of two versions of the program the older one is about to be replaced: an agent leaves, a gateway restarts."""


class AgentLink:
    """`dial` raises OSError or GatewayError where there is nobody."""

    def __init__(
        self, handler: LinkHandler, dial: Dial, clock: Callable[[], float], pauses: tuple[float, ...] = PAUSES_S
    ) -> None:
        self.agent: Welcome | None = None
        """Who answers; None while nobody does."""
        self._handler = handler
        self._dial = dial
        self._clock = clock
        self._pauses = pauses
        self._waiters: set[asyncio.Future[None]] = set()
        self._writer: asyncio.StreamWriter | None = None
        self._welcomed: float | None = None
        """When the connection was; None before."""
        self._heard = False
        """Whether it has brought anything but a welcome."""
        self._tasks = Tasks(log)
        self._living: asyncio.Task[None] | None = None
        self._closed = False

    # -- what the gateway says -------------------------------------------------------------------------------------

    async def ready(self) -> None:
        """Return when an agent answers, who may be gone a moment later. Raises Unreachable."""
        if self._writer is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            self.wake()
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def start(self, run: str, spec: Spec) -> bool:
        """False if nobody answers. Raises ValueError for one that is larger than a message may be."""
        line = encode(Start(run, spec))
        if self._writer is None:
            return False
        self._writer.write(line)
        return True

    async def drain(self) -> None:
        """Return when the agent has taken what it was told, or is gone. One that takes nothing is."""
        if (writer := self._writer) is not None:
            await _drain(writer, TAKE_S)

    def ack(self, run: str, seq: int) -> None:
        self._say(Ack(run, seq))

    def abort(self, run: str) -> None:
        self._say(Abort(run))

    def forget(self, run: str) -> None:
        """Nobody waits for it any more."""
        self._say(Abort(run))
        self._say(Ack(run, ALL))

    def wake(self) -> None:
        """There are runs to wait for."""
        if self._living is None and self._needed:
            self._living = self._tasks.spawn(self._live(), "the link to the agent")
            self._living.add_done_callback(self._ended)

    async def close(self) -> None:
        """What was said is sent, if it is taken; nothing that comes from here on is passed on."""
        self._closed = True
        if (writer := self._writer) is not None:
            self._writer = None
            await _drain(writer, LEAVE_S)
        self._tasks.cancel()
        await self._tasks.join()

    def _say(self, message: ToAgent) -> None:
        # Where nobody is connected, the next hello says what is stored, and the handler what is to end.
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
        """Live through one connection; what it has ended with, None for an agent that went."""
        self._welcomed, self._heard = None, False
        try:
            async with self._connected() as (reader, writer):
                await self._listen(reader, writer)
        except (OSError, GatewayError, TimeoutError, EOFError, msgspec.DecodeError, ValueError) as error:
            log.debug("agent: %r", error)
            return error
        except Exception as error:
            log.exception("the connection to the agent is begun anew")
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
        self.wake()  # for those who came while it ended

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
            # "Taken" is what the kernel has, all of it: half a line must not be left to another image of this process.
            writer.transport.set_write_buffer_limits(0)
            self._greet(writer)
            async with asyncio.timeout(WELCOME_S):
                welcome = await _welcome(reader)
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
        # The line that another image of this process has not finished must not swallow ours.
        writer.write(b"\n" + encode(Hello(VERSION, self._handler.awaited_runs(), __version__)))

    def _dismiss(self, welcome: Welcome) -> None:
        """End the runs that nobody waits for, and those that were to end while nobody was connected."""
        awaited = self._handler.awaited_runs()
        for run in {*self._handler.aborted_runs(), *(run for run in welcome.runs if run not in awaited)}:
            self.abort(run)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until it goes. Raises TimeoutError when it does not say a word."""
        greeted = False
        while True:
            try:
                async with asyncio.timeout(QUIET_S):
                    line = await reader.readline()
            except TimeoutError:
                if greeted:
                    raise TimeoutError("it does not answer") from None
                if greeted := self._handler.has_active_runs:
                    self._greet(writer)
                continue
            if not line:
                log.info("the agent has gone")
                return
            greeted = False
            if not self._closed:
                self._pass_on(line)

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


async def _drain(writer: asyncio.StreamWriter, limit_s: float) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await writer.drain()
    except TimeoutError:
        log.warning("the agent takes nothing of what it is told")
        writer.transport.abort()
    except ConnectionError:
        return  # whoever reads sees it too


async def _welcome(reader: asyncio.StreamReader) -> Welcome:
    """What comes before it was meant for another image of this process."""
    while line := await reader.readline():
        with contextlib.suppress(msgspec.DecodeError):
            if isinstance(message := decode_to_gateway(line), Welcome):
                return message
    raise EOFError("it went before it said welcome")


async def by_path(path: str) -> Stream:
    """The agent of a socket unit. Raises OSError."""
    return await asyncio.open_unix_connection(path, limit=MAX_LINE)
