"""The agent's process: it serves its connections, and leaves when it is idle, told to, or replaced."""

import asyncio
import logging
import math
import signal
import socket
import sys
from collections.abc import Callable, Mapping

from gateway import __version__
from gateway.agent.link import LinkServer
from gateway.agent.runs import AgentRun, AgentRuns
from gateway.aio.tasks import Tasks
from gateway.files.installed import ImportGuard, Installation
from gateway.systemd.notify import Notifier, feed_watchdog

log = logging.getLogger("agent")

IDLE_S = 300.0
"""Seconds without a run after which the process leaves. The next run starts it again."""
LEAVE_S = 4.0
"""Seconds for ending runs and their tools. systemd, and a gateway for its child, wait longer than this."""


class Service:
    """`serve` accepts connections or serves the one that is passed, until it is time to leave."""

    def __init__(self, notifier: Notifier, idle_s: float = IDLE_S, installed: Installation | None = None) -> None:
        self._notifier = notifier
        self._idle_s = idle_s
        self._installed = installed or Installation()
        self._runs = AgentRuns(self._on_event, self._on_runs_changed)
        self._link = LinkServer(self._runs, self._on_hello, self._accepts_runs)
        self._idle: asyncio.TimerHandle | None = None
        self._leaving = asyncio.Event()
        self._tasks = Tasks(log)
        self._stop_accepting: Callable[[], None] = lambda: None

    async def serve(self, *, listener: socket.socket | None = None, connection: socket.socket | None = None) -> None:
        sys.meta_path.insert(0, ImportGuard(self._installed))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leave, f"{number.name} was received")
        loop.add_signal_handler(signal.SIGUSR1, self._retire, "SIGUSR1 was received")
        if listener is not None:
            # Not start_unix_server: from Python 3.13 on it removes the path at its end, and the path is systemd's.
            server = await asyncio.start_server(self._link.serve, sock=listener)
            self._stop_accepting = server.close
        if connection is not None:
            loop.add_signal_handler(signal.SIGINT, lambda: None)  # a terminal's Ctrl-C is the gateway's to answer
            self._tasks.spawn(self._serve_parent(connection), "parent")
        self._tasks.spawn(feed_watchdog(self._notifier), "watchdog")
        self._notifier.ready(self._status())
        self._on_runs_changed()
        await self._leaving.wait()
        await self._stop()

    async def _serve_parent(self, connection: socket.socket) -> None:
        try:
            await self._link.serve(*await asyncio.open_unix_connection(sock=connection))
        finally:
            self._leave("the gateway has closed the connection")

    def _on_event(self, run: AgentRun) -> None:
        self._link.on_event(run)

    def _on_runs_changed(self) -> None:
        if self._leaving.is_set():
            return
        self._notifier.status(self._status())
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if not len(self._runs):
            why = f"nothing to do for {self._idle_s:g} s"
            self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._leave, why)

    def _on_hello(self, gateway: str) -> None:
        """A gateway of this version has said hello.

        If the versions differ, the files tell which one is old: an agent that is the installed one must not leave, as
        the next one would be of its version too.
        """
        if self._installed.stale:
            self._retire("the program was replaced")
        elif gateway not in ("", __version__):
            log.info("the gateway is of version %s and this agent of %s", gateway, __version__)

    def _accepts_runs(self) -> bool:
        """True if a new run begins here.

        If the program was replaced, the run could import modules of the new version. An agent that has no runs then
        leaves, and the next one gets the run, with all that this one has not read.
        """
        if not self._installed.stale:
            return True
        self._retire("the program was replaced")
        if not len(self._runs):
            self._leave("a run is left to the program that is installed now")
        return bool(len(self._runs))

    def _retire(self, why: str) -> None:
        """Leave once there is no run, because another program or unit file is to take effect."""
        if self._idle_s:
            log.info("%s: leaving when no run is left", why)
        self._idle_s = 0.0
        self._on_runs_changed()

    def _status(self) -> str:
        return f"{len(self._runs)} run{'s' if len(self._runs) != 1 else ''}"

    def _leave(self, why: str) -> None:
        """Stop accepting and close the connections in one step, so that a leaving agent starts no run.

        What is unread stays unread. Its sender sees the connection end, and asks the next agent.
        """
        if self._leaving.is_set():
            return
        log.info("leaving: %s", why)
        self._leaving.set()
        self._stop_accepting()
        self._link.cut_all()

    async def _stop(self) -> None:
        self._notifier.stopping(f"Ending {self._status()}")
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._runs.end_all()
        except TimeoutError:
            log.warning("some tools did not end within %g s, and are killed", LEAVE_S)
            if (stdio := sys.modules.get("gateway.agent.mcp.stdio")) is not None:  # not imported where no tool was used
                stdio.kill_all()
        self._notifier.close()


def idle_s(environ: Mapping[str, str]) -> float:
    """OPENCLAW_AGENT_IDLE_S, or `IDLE_S` if that is no positive number of seconds."""
    try:
        seconds = float(environ["OPENCLAW_AGENT_IDLE_S"])
    except (KeyError, ValueError):
        return IDLE_S
    return seconds if 0 < seconds < math.inf else IDLE_S
