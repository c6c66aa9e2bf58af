"""The agent as a process, started as systemd or a gateway without it would start it."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.agent.peer import Peer, Store
from tests.fakes.service_manager import ServiceManager

PROJECT = Path(__file__).parents[2]


class Agent:
    def __init__(self, process: asyncio.subprocess.Process, path: Path | None, manager: ServiceManager | None) -> None:
        self.process = process
        self.log = ""
        self._path = path
        self._manager = manager
        self._reading = asyncio.create_task(self._read())

    async def connect(self, store: Store | None = None) -> Peer:
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, str(self._path))
        return Peer(sock, store)

    async def told(self) -> str:
        """The next that it tells the service manager."""
        assert self._manager is not None
        return await self._manager.heard()

    async def exit_code(self) -> int:
        code = await self.process.wait()
        await self._reading
        return code

    async def _read(self) -> None:
        assert self.process.stderr is not None
        while data := await self.process.stderr.read(65536):
            self.log += data.decode()


@asynccontextmanager
async def listening(path: Path, **environ: str) -> AsyncIterator[socket.socket]:
    """The socket unit: it listens whether there is an agent or not."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(16)
        yield listener


async def activate(
    listener: socket.socket, *, idle_s: float = 60, watchdog: bool = False, program: Path = PROJECT
) -> Agent:
    """As systemd does on the first connection: descriptor 3, and the words that describe it."""
    path = Path(listener.getsockname())
    notify = path.with_suffix(".notify")
    notify.unlink(missing_ok=True)
    manager = ServiceManager(notify)
    environ = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "agent", "NOTIFY_SOCKET": manager.address}
    if watchdog:
        environ["WATCHDOG_USEC"] = "300000"
    fd = listener.fileno()
    # Only the process itself knows its pid before it is executed.
    script = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid()); "
    script += "os.execv(sys.executable, [sys.executable, '-P', '-m', 'gateway.agent'])"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, str(fd)),
        env={**os.environ, **environ, "OPENCLAW_AGENT_IDLE_S": str(idle_s), "PYTHONPATH": str(program)},
        pass_fds=[fd],
        stderr=asyncio.subprocess.PIPE,
    )
    return Agent(process, path, manager)


async def as_child(*, idle_s: float = 60) -> tuple[Agent, Peer]:
    """As a gateway without systemd does."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.agent", "--fd", str(theirs.fileno())),
            env={**os.environ, "OPENCLAW_AGENT_IDLE_S": str(idle_s), "PYTHONPATH": str(PROJECT)},
            pass_fds=[theirs.fileno()],
            stderr=asyncio.subprocess.PIPE,
        )
    return Agent(process, None, None), Peer(ours)
