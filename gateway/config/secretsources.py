"""Read the files and run the programs of secret references, bounded in time and size, and never by a shell.

It blocks for at most `DEADLINE_S`: at a start before clients are served, later in a thread.
"""

import contextlib
import os
import select
import signal
import stat
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

from gateway.config.secretproviders import (
    MAX_IDS,
    Asked,
    Definition,
    FileProvider,
    ProgramProvider,
    SecretRefused,
    from_file,
    from_program,
    request,
)
from gateway.config.substitute import Lookup

DEADLINE_S = 20.0
"""Seconds for all providers together."""
AT_ONCE = 4
"""Programs that run at the same time, as in OpenClaw."""
CHUNK = 64 * 1024


class Sources:
    """An `AskProviders`. `lookup` has the variables for programs. `note` is called with each file's path, first with
    None and then with its bytes."""

    def __init__(self, lookup: Lookup, note: Callable[[str, bytes | None], None] = lambda path, data: None) -> None:
        self._lookup = lookup
        self._note = note

    def __call__(self, asked: Asked) -> Mapping[tuple[str, Definition], Mapping[str, Any] | SecretRefused]:
        deadline = time.monotonic() + DEADLINE_S
        programs = {key: ids for key, ids in asked.items() if isinstance(key[1], ProgramProvider)}
        found = {key: self._file(key[1], ids) for key, ids in asked.items() if isinstance(key[1], FileProvider)}
        if programs:
            with ThreadPoolExecutor(min(AT_ONCE, len(programs)), "secrets") as pool:
                answers = [pool.submit(self._program, key, ids, deadline) for key, ids in programs.items()]
                found |= {key: answer.result() for key, answer in zip(programs, answers, strict=True)}
        return found

    def _file(self, source: FileProvider, ids: list[str]) -> Mapping[str, Any] | SecretRefused:
        path = expanded(source.path)
        self._note(path, None)
        try:
            data = read_private(path, source.max_bytes)
            self._note(path, data)
            return from_file(source, data, ids)
        except SecretRefused as refused:
            return refused
        except OSError as error:
            return SecretRefused(f"{path} cannot be read: {error.strerror}", "put the file there, readable for you")

    def _program(
        self, key: tuple[str, Definition], ids: list[str], deadline: float
    ) -> Mapping[str, Any] | SecretRefused:
        name, source = key
        assert isinstance(source, ProgramProvider)
        try:
            if len(ids) > MAX_IDS:
                raise SecretRefused(
                    f'"{name}" is asked for more than {MAX_IDS} secrets', "share them out over two providers"
                )
            check_command(source)
            env = {each: value for each in source.pass_env if (value := self._lookup(each)) is not None}
            output = run_program(name, source, env | dict(source.env), request(name, ids), deadline)
            return from_program(name, source, output, ids)
        except SecretRefused as refused:
            return refused
        except OSError as error:
            return SecretRefused(f"{source.command} cannot be run: {error.strerror}", "correct the command")


def expanded(path: str) -> str:
    return os.path.normpath(os.path.expanduser(path))


def read_private(path: str, max_bytes: int) -> bytes:
    """Read a file that only this user may read or write, as OpenClaw requires. Raises OSError and SecretRefused."""
    # O_NONBLOCK: opening a FIFO without a writer must not hang the gateway.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        if os.path.islink(path):
            raise SecretRefused(f"{path} is a link", "name the file itself") from error
        raise
    try:
        _check_private(path, os.fstat(fd))
        with open(fd, "rb", closefd=False) as stream:
            data = stream.read(max_bytes + 1)
    finally:
        os.close(fd)
    if len(data) > max_bytes:
        raise SecretRefused(
            f"{path} is larger than {max_bytes} bytes", "raise the provider's maxBytes, or make it smaller"
        )
    return data


def _check_private(path: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise SecretRefused(f"{path} is no regular file", "name a file")
    if found.st_nlink > 1:
        raise SecretRefused(f"{path} has a second name (a hard link)", "copy it into a new file and name that one")
    if found.st_uid != os.geteuid():
        raise SecretRefused(f"{path} belongs to another user", f"make it that of uid {os.geteuid()}")
    if found.st_mode & 0o077:
        raise SecretRefused(f"others may use {path}", f"run: chmod 600 {path}")


def check_command(source: ProgramProvider) -> None:
    """Require a program that only this user or root can replace. Raises OSError and SecretRefused."""
    path = expanded(source.command)
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        raise SecretRefused(f"{path} is a link", f"name the program itself: {os.path.realpath(path)}")
    if not stat.S_ISREG(found.st_mode):
        raise SecretRefused(f"{path} is no program", "name a file")
    real, trusted = os.path.realpath(path), [os.path.realpath(expanded(each)) for each in source.trusted]
    if trusted and not any(os.path.commonpath((each, real)) == each for each in trusted):
        raise SecretRefused(
            f"{path} does not lie in one of the provider's trustedDirs", "move it there, or add its folder"
        )
    if found.st_mode & 0o022:
        raise SecretRefused(f"others may change {path}", f"run: chmod go-w {path}")
    if found.st_uid not in (0, os.geteuid()):
        raise SecretRefused(f"{path} belongs to another user", f"make it that of uid {os.geteuid()}")
    folder = os.path.dirname(path)
    mode = os.stat(folder).st_mode
    if mode & 0o002 and not mode & stat.S_ISVTX:
        raise SecretRefused(f"everybody may put another program at {path}", f"run: chmod o-w {folder}")


def run_program(name: str, source: ProgramProvider, env: Mapping[str, str], input: bytes, deadline: float) -> bytes:
    """The output of the program. Its process group is killed afterwards.

    Raises OSError, and SecretRefused if it fails, prints too much or takes too long. Its stderr is discarded, because
    it may contain a secret. `deadline`: monotonic seconds.
    """
    with contextlib.ExitStack() as stack:
        theirs_in, ours_in = (stack.enter_context(end) for end in _pipe())
        ours_out, theirs_out = (stack.enter_context(end) for end in _pipe())
        # Not `subprocess`: this thread blocks signals, and the program must not inherit that mask.
        command = expanded(source.command)
        pid = os.posix_spawn(
            command,
            [command, *source.args],
            dict(env),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, theirs_in.fileno(), 0),
                (os.POSIX_SPAWN_DUP2, theirs_out.fileno(), 1),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setpgroup=0,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
        stack.callback(_kill, pid)
        theirs_in.close()
        theirs_out.close()
        ended = stack.enter_context(open(os.pidfd_open(pid), "rb", buffering=0))
        output = _Exchange(name, source, (ours_in, ours_out, ended), input, deadline).output()
        left = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert left is not None
    if left.si_code != os.CLD_EXITED or left.si_status:
        how = f"ended with code {left.si_status}" if left.si_code == os.CLD_EXITED else "was killed"
        raise SecretRefused(f'the program of "{name}" {how}', f"try it by hand: {source.command}")
    return output


class _Exchange:
    """The input and output of a program, with its bounds."""

    def __init__(
        self,
        name: str,
        source: ProgramProvider,
        ends: tuple[IO[bytes], IO[bytes], IO[bytes]],
        input: bytes,
        deadline: float,
    ) -> None:
        self._name, self._source = name, source
        self._ends = ends
        self._stdin, self._stdout, self._ended = (end.fileno() for end in ends)
        self._unwritten = memoryview(input)
        self._deadline = min(deadline, time.monotonic() + source.timeout_ms / 1000)
        self._last_read = time.monotonic()
        self._output = bytearray()
        for end in ends[:2]:
            os.set_blocking(end.fileno(), False)

    def output(self) -> bytes:
        """The whole output, once the program has ended."""
        poll = select.poll()
        poll.register(self._stdout, select.POLLIN)
        poll.register(self._ended, select.POLLIN)
        poll.register(self._stdin, select.POLLOUT)
        while True:
            events = dict(poll.poll(self._time_left_s() * 1000))
            if self._stdin in events and not self._write():
                poll.unregister(self._stdin)
                self._ends[0].close()
            if self._stdout in events:
                if not self._read():
                    poll.unregister(self._stdout)
            elif self._ended in events:
                return bytes(self._output)

    def _time_left_s(self) -> float:
        now = time.monotonic()
        silence = self._last_read + self._source.silence_ms / 1000
        left = min(self._deadline, silence) - now
        if left <= 0:
            way_out = f"it has timeoutMs and noOutputTimeoutMs, {DEADLINE_S:.0f} s at most for all programs"
            raise SecretRefused(f'the program of "{self._name}" took too long', way_out)
        return left

    def _write(self) -> bool:
        """Write input; returns whether there is more, and the program reads it."""
        try:
            self._unwritten = self._unwritten[os.write(self._stdin, self._unwritten[:CHUNK]) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        return bool(self._unwritten)

    def _read(self) -> bool:
        """Read output; returns whether there may be more."""
        chunk = os.read(self._stdout, CHUNK)
        self._last_read = time.monotonic()
        self._output += chunk
        if len(self._output) > self._source.max_bytes:
            what = f'the program of "{self._name}" printed more than {self._source.max_bytes} bytes'
            raise SecretRefused(what, "raise the provider's maxOutputBytes, or let it print less")
        return bool(chunk)


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    read, write = os.pipe2(os.O_CLOEXEC)
    return open(read, "rb", buffering=0), open(write, "wb", buffering=0)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)  # before it is reaped: until then its pid cannot be reused
    os.waitpid(pid, 0)
