"""Plays systemd for one process: passes it a listening descriptor 3 and a NOTIFY_SOCKET, and hears what it says there.

No manager, no root: what is measured is the program alone, from its exec on.
"""

import os
import select
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from bench.programs import CONFIG, Program

LISTENER = 3
PATIENCE_S = 30.0
STOP_S = 10.0


class Launched:
    """One process, from `start` to `stop`; use it as a context manager, which does both."""

    def __init__(self, program: Program, config: Callable[[Path], str] | None = None, cpu: int | None = None) -> None:
        """`config` makes the config file's text from the folder in which everything lies; None: there is no file."""
        self.program = program
        self.pid = 0
        self.began = 0.0
        """Monotonic seconds just before the exec."""
        self._cpu = cpu
        # Short, because the address of a Unix socket is.
        self._temporary = tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp")
        self.folder = Path(self._temporary.name)
        self.config = self.folder / CONFIG
        if config is not None:
            write_private(self.config, config(self.folder))
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(self.folder / "notify"))
        self._listener = socket.socket()
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(4096)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> "Launched":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(self.output())
        self.stop()

    def start(self) -> None:
        environment = self._environment()
        self.began = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._become(environment)
            finally:
                os._exit(127)

    def stop(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGTERM)
            watched = os.pidfd_open(self.pid)
            if not select.select([watched], [], [], STOP_S)[0]:
                os.kill(self.pid, signal.SIGKILL)
            os.close(watched)
            os.waitpid(self.pid, 0)
            self.pid = 0
        self._listener.close()
        self._notify.close()
        self._temporary.cleanup()

    def replace(self, number: int) -> tuple[float, float]:
        """End the process by a signal and start another one. Returns the times of the signal and of the exit."""
        told = time.monotonic()
        os.kill(self.pid, number)
        os.waitpid(self.pid, 0)
        ended = time.monotonic()
        self.start()
        return told, ended

    def hear(self, word: str) -> tuple[float, str]:
        """The time at which the next message with the line `word` arrived, and the message."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self._notify.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                message = self._notify.recv(65536).decode()
            except TimeoutError:
                raise TimeoutError(f"{self.program.name}: no {word} within {PATIENCE_S:g} s") from None
            if word in message.splitlines():
                return time.monotonic(), message

    def take_everything(self) -> None:
        """Read its messages from here on as systemd does, with descriptors, so that it never waits. Not with `hear`."""
        threading.Thread(target=self._take_everything, daemon=True).start()

    def _take_everything(self) -> None:
        with suppress(OSError):  # the end of it all
            while True:
                for fd in socket.recv_fds(self._notify, 65536, 16)[1]:
                    os.close(fd)

    def queue_request(self) -> socket.socket:
        """A client whose request waits in the listener's queue until somebody serves it."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n")
        return client

    def output(self) -> str:
        with suppress(FileNotFoundError):
            return f"{self.program.name} wrote:\n{(self.folder / 'output').read_text()[-4000:]}"
        return ""

    def _environment(self) -> dict[str, str]:
        """The environment of the unit and a user manager. The pid is not known yet."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(self.folder),
            "OPENCLAW_STATE_DIR": str(self.folder),
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
            "MALLOC_ARENA_MAX": "1",
            "LISTEN_FDS": "1",
            "LISTEN_FDNAMES": "gateway",
            "NOTIFY_SOCKET": str(self.folder / "notify"),
            "WATCHDOG_USEC": "60000000",
            **self.program.environment,
        }

    def _become(self, environment: dict[str, str]) -> None:
        """In the child: put the descriptors where they belong, and exec."""
        output = os.open(self.folder / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(self._listener.fileno(), LISTENER)
        os.set_inheritable(LISTENER, True)  # dup2 of a number onto itself leaves close-on-exec as it was
        if self._cpu is not None:
            os.sched_setaffinity(0, {self._cpu})
        os.chdir(self.folder)
        os.execve(self.program.words[0], list(self.program.words), {**environment, "LISTEN_PID": str(os.getpid())})


def write_private(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


@contextmanager
def on_processor(cpu: int | None) -> Iterator[None]:
    """Processes started in the block run on this processor only."""
    if cpu is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
