"""Where targets play: a loop whose clock they move, a transport that keeps what it gets, a log that may not alarm."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from tests.wire.raw import tidy

LOGGERS = ("gateway", "agent", "uvicorn", "websockets", "asyncio")
TURNS = 12
"""Turns of the loop, after which everything waits for the clock or the client."""


class Clockless(asyncio.SelectorEventLoop):
    """Nobody waits in it: time passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__()

    def time(self) -> float:
        return self.now


class Transcript(asyncio.Transport):
    """A client's connection: what was written is kept, and is taken only when the client reads."""

    def __init__(self, address: tuple[str, int] | None = ("127.0.0.1", 50_000)) -> None:
        super().__init__({"peername": address, "sockname": ("127.0.0.1", 18_789), "socket": None})
        self.written = b""
        self.untaken = 0
        self.reads = True
        """The client takes what comes."""
        self.paused = False
        self.half_closed = self.closed = self.aborted = False
        self.protocol: Any = None
        self._high = 65_536
        self._told = False

    def get_protocol(self) -> Any:
        return self.protocol

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.half_closed, "written after the end"
        if self.closed:
            return
        self.written += bytes(data)
        if not self.reads:
            self.untaken += len(data)
            if self.untaken > self._high and not self._told:
                self._told = True
                self.protocol.pause_writing()

    def take(self) -> None:
        """The client reads all that there is."""
        self.untaken = 0
        if self._told:
            self._told = False
            self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return self.untaken

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 65_536 if high is None else high

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.half_closed = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_reading(self) -> bool:
        return not self.paused

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True


class Alarms(logging.Handler):
    """What a log would alarm its reader with; `strict`: or burden them."""

    def __init__(self, strict: bool) -> None:
        super().__init__(logging.DEBUG)
        self.strict = strict
        self.found: list[tuple[str, BaseException | None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        burden = record.levelno >= logging.ERROR or (record.name.startswith("gateway") and not tidy(text))
        if record.exc_info or (burden and self.strict):
            self.found.append((f"{record.name}: {text[:500]!r}", record.exc_info[1] if record.exc_info else None))


class Stage:
    """One input's loop. What was raised in it, or would alarm the reader of its log, fails the input."""

    def __init__(self, strict: bool = True) -> None:
        """`strict`: no line of the log may be an error, long, or unprintable; else only tracebacks fail."""
        self.loop = Clockless()
        self.loop.set_exception_handler(self._note)
        self._alarms = Alarms(strict)
        self._raised: list[tuple[str, BaseException | None]] = []

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._raised.append((context["message"], context.get("exception")))

    def __enter__(self) -> "Stage":
        for logger in map(logging.getLogger, LOGGERS):
            logger.addHandler(self._alarms)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for logger in map(logging.getLogger, LOGGERS):
            logger.removeHandler(self._alarms)
        try:
            self.play(self._end())
        finally:
            self.loop.close()
        if kind is None:
            for message, cause in [*self._raised, *self._alarms.found]:
                raise AssertionError(message) from cause

    async def _end(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self.loop.shutdown_default_executor()

    def play(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(what)

    def wait(self, seconds: float) -> None:
        self.loop.now += seconds


async def turns(count: int = TURNS) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
