"""An agent of our own, where systemd has no socket unit for one: a child process at the other end of a socket pair.

Our end is passed over a re-exec under the name `agent-<pid>`, so the child and its runs outlive a hot restart. When we
die, the pair is closed, and the child leaves.
"""

import asyncio
import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from gateway.link.messages import MAX_LINE
from gateway.link.stream import Stream

log = logging.getLogger("gateway.agent")

NAME = "agent-"
"""The beginning of the descriptor's name; the rest is the child's pid."""
_HIDDEN = ("OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PASSWORD")
"""Variables that the agent does not get: it starts tools of others, which must not find our secrets."""
_PROGRAM = "import sys; sys.path.append(sys.argv.pop(1)); from gateway.agent.__main__ import main; main()"
"""Not `-m gateway.agent`: that would import a folder named `gateway` from the current directory."""


class Child:
    """The one child; `dial` connects to it."""

    def __init__(self, environ: Mapping[str, str], inherited: Mapping[str, int]) -> None:
        """`inherited`: descriptors by name, of which one may be the child's."""
        self._environ = environ
        self._sock: socket.socket | None = None
        self._pid = 0
        self._dialled = False
        self._children: set[int] = set()
        """Pids that have not been waited for yet."""
        for name, fd in inherited.items():
            if name.startswith(NAME):
                self._sock, self._pid = socket.socket(fileno=fd), int(name.removeprefix(NAME))
                self._watch(self._pid)

    async def dial(self) -> Stream:
        """Connect to the child, starting it if needed. Raises OSError.

        A second call means that the first stream has failed: the old child is killed, and a new one started.
        """
        self._reap()
        if self._sock is not None and (self._dialled or _ended(self._sock)):
            self._bury(self._sock)
        if self._sock is None:
            self._sock, self._pid = self._start()
        self._dialled = True
        # The stream closes the socket that it is given; our end of the pair stays open while the child lives.
        return await asyncio.open_unix_connection(sock=self._sock.dup(), limit=MAX_LINE)

    @property
    def passed(self) -> list[tuple[str, int]]:
        """Name and descriptor for the next image in this process."""
        return [] if self._sock is None else [(f"{NAME}{self._pid}", self._sock.fileno())]

    def _start(self) -> tuple[socket.socket, int]:
        ours, its = socket.socketpair()
        ours.setblocking(False)
        with its:
            root = str(Path(__file__).parents[2])
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _PROGRAM, root, "--fd", str(its.fileno())],
                    pass_fds=[its.fileno()],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is meant for us; the child leaves when the pair is closed
                    env={name: value for name, value in self._environ.items() if name not in _HIDDEN},
                )
            except OSError:
                ours.close()
                raise
        process.returncode = 0  # `_reap` waits for it, as for one from before a re-exec
        log.info("agent started (pid %d)", process.pid)
        self._watch(process.pid)
        return ours, process.pid

    def _bury(self, sock: socket.socket) -> None:
        if not _ended(sock):
            log.warning("the agent (pid %d) does not answer as it should; it is killed", self._pid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)
        sock.close()
        self._sock, self._dialled = None, False
        self._reap()

    def _watch(self, pid: int) -> None:
        self._children.add(pid)
        with contextlib.suppress(OSError):  # before Linux 5.3: it is waited for when another child is started
            fd = os.pidfd_open(pid)
            asyncio.get_running_loop().add_reader(fd, self._exited, fd)

    def _exited(self, fd: int) -> None:
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)
        self._reap()

    def _reap(self) -> None:
        for pid in list(self._children):
            try:
                found, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                found, status = pid, 0  # it was waited for elsewhere
            if found:
                self._children.discard(pid)
                if code := os.waitstatus_to_exitcode(status):
                    log.warning("the agent (pid %d) ended with %d", pid, code)


def _ended(sock: socket.socket) -> bool:
    """Whether the other end is closed; what it sent before may still be unread."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(0))
