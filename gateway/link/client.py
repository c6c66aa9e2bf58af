"""The gateway's end of the link (`link/messages`): connected as long as a run is waited for, again after every loss.

What a run's events mean is the affair of the `Heir`; here they are passed on as they come.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import msgspec

from gateway.errors import GatewayError
from gateway.link.messages import (
    MAX_LINE,
    VERSION,
    Abort,
    Ack,
    Event,
    Hello,
    Lost,
    Refused,
    Spec,
    Start,
    ToAgent,
    Welcome,
    decode_to_gateway,
    encode,
)

log = logging.getLogger("gateway.agent")

WELCOME_S = 20.0
"""From the connection to the agent's welcome: it may have to be started."""
PATIENCE_S = 10.0
"""In which connecting is tried again, before the runs that wait for it are told that there is no agent."""
PAUSES_S = (0.02, 0.1, 0.5, 1.0)
"""Between two tries; the last one again and again."""
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Dial = Callable[[], Awaitable[Stream]]


class Unreachable(GatewayError):
    """No agent answers, or one that speaks another version of the link."""


class Heir(Protocol):
    """Who gets what comes."""

    def awaited(self) -> dict[str, int]:
        """Runs that an agent was asked for and that have not ended, with the number of the last event stored."""
        ...

    def happened(self, event: Event) -> None: ...

    def lost(self, run: str) -> None:
        """The agent that had it is gone."""
        ...

    def refused(self, refusal: Refused) -> None: ...

    def unreachable(self, why: Unreachable) -> None:
        """Of all that are awaited and of what was to be started nothing can be known or done."""
        ...


class Link:
    """`dial` raises OSError or GatewayError where there is nobody."""

    def __init__(
        self, heir: Heir, dial: Dial, clock: Callable[[], float], pauses: tuple[float, ...] = PAUSES_S
    ) -> None:
        self.agent: Welcome | None = None
        """Who answers; None while nobody does."""
        self._heir = heir
        self._dial = dial
        self._clock = clock
        self._pauses = pauses
        self._starts: dict[str, Spec] = {}
        """To be sent as soon as there is somebody."""
        self._writer: asyncio.StreamWriter | None = None
        self._living: asyncio.Task[None] | None = None
        self._closed = False

    # -- what the gateway says -------------------------------------------------------------------------------------

    def start(self, run: str, spec: Spec) -> None:
        """Raises ValueError for one that is larger than a message may be."""
        message = Start(run, spec)
        line = encode(message)
        if self._writer is not None:
            self._writer.write(line)
        else:
            self._starts[run] = spec
            self.wake()

    def ack(self, run: str, seq: int) -> None:
        self._say(Ack(run, seq))

    def abort(self, run: str) -> None:
        self._starts.pop(run, None)
        self._say(Abort(run))

    def wake(self) -> None:
        """There are runs to wait for."""
        if self._living is None and not self._closed:
            self._living = asyncio.get_running_loop().create_task(self._live(), name="agent link")
            self._living.add_done_callback(self._ended)

    async def close(self) -> None:
        """What was said is sent, if it is taken; nothing that comes from here on is passed on."""
        self._closed = True
        if self._living is not None:
            self._living.cancel()
            await asyncio.gather(self._living, return_exceptions=True)

    def _say(self, message: ToAgent) -> None:
        # Where nobody is connected the next hello says the same: it names what is waited for and what is stored.
        if self._writer is not None:
            self._writer.write(encode(message))

    # -- the connection --------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        since, tries = self._clock(), 0
        while self._starts or self._heir.awaited():
            try:
                async with self._connected() as reader:
                    try:
                        await self._listen(reader)
                    finally:
                        since, tries = self._clock(), 0
            except (OSError, GatewayError, TimeoutError, EOFError, msgspec.DecodeError, ValueError) as error:
                if isinstance(error, Unreachable) or self._clock() - since >= PATIENCE_S:
                    self._give_up(error)
                    return
                log.debug("agent: %s", error)
            await asyncio.sleep(self._pauses[min(tries, len(self._pauses) - 1)])
            tries += 1

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._living = None
        if task.cancelled():
            return
        if error := task.exception():
            log.error("the link to the agent failed", exc_info=error)
        if self._starts or self._heir.awaited():  # they came while it ended
            self.wake()

    def _give_up(self, error: Exception) -> None:
        why = str(error) or type(error).__name__
        log.error("no agent answers: %s", why)
        self._starts.clear()
        self._heir.unreachable(error if isinstance(error, Unreachable) else Unreachable(f"no agent answers: {why}"))

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncio.StreamReader]:
        async with asyncio.timeout(WELCOME_S):
            reader, writer = await self._dial()
        try:
            awaited = self._heir.awaited()
            asked = {run: seq for run, seq in awaited.items() if run not in self._starts}
            # The line that another image of this process has not finished must not swallow ours.
            writer.write(b"\n" + encode(Hello(VERSION, asked)))
            async with asyncio.timeout(WELCOME_S):
                welcome = await _welcome(reader)
            if welcome.version != VERSION:
                raise Unreachable(
                    f"the agent ({welcome.program}) speaks version {welcome.version} of the link and this gateway "
                    f"{VERSION}: systemctl --user restart openclaw-agent.service"
                )
            self._writer, self.agent = writer, welcome
            for run in welcome.runs:
                if run not in asked and run not in self._starts:
                    writer.write(encode(Abort(run)))
            for run, spec in self._starts.items():
                writer.write(encode(Start(run, spec)))
            self._starts.clear()
            log.info("agent %s answers (pid %d), %d run(s) go on", welcome.program, welcome.pid, len(asked))
            yield reader
        finally:
            self._writer = self.agent = None
            writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            match decode_to_gateway(line):
                case Event() as event:
                    self._heir.happened(event)
                case Lost(run=run):
                    self._heir.lost(run)
                case Refused() as refusal:
                    self._heir.refused(refusal)
                case Welcome():
                    raise EOFError("it said welcome again")
        log.info("the agent has gone")


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
