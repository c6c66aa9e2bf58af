"""Commands that begin at once: each is a process of its own, forked from one that has imported what commands import.

To import it all is most of what a short command costs. That they import what they need when they are started as a user
starts them is tested in `tests/cli/test_chat.py` and end to end.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.reduction import DupFd
from subprocess import DEVNULL, PIPE, CompletedProcess, TimeoutExpired
from types import TracebackType
from typing import IO, Any, Self

SECONDS = 60.0
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        __name__,
        "tests.pty_screen",
        "gateway.client.client",
        "gateway.client.identity",
        "websockets.asyncio.client",
        *(f"gateway.cli.{name}" for name in ("agent", "call", "chat", "models", "sessions", "status", "service")),
        *(
            f"gateway.cli.conversation.{name}"
            for name in ("editor", "lasting", "offers", "once", "paper", "past", "screen", "sign", "talk", "wrap")
        ),
    ]
)


class Forked:
    """What a test needs of `subprocess.Popen`, for one command. Its streams are PIPE, DEVNULL or descriptors."""

    def __init__(
        self,
        words: Sequence[str],
        env: Mapping[str, str],
        *,
        stdin: int = DEVNULL,
        stdout: int = PIPE,
        stderr: int = PIPE,
        start_new_session: bool = False,
        preexec_fn: Callable[[], None] | None = None,
    ) -> None:
        ours: list[int | None] = []
        theirs: list[int] = []
        for number, end in enumerate((stdin, stdout, stderr)):
            if end == PIPE:
                read, write = os.pipe()
                ours.append(read if number else write)
                theirs.append(write if number else read)
            else:
                ours.append(None)
                theirs.append(os.open(os.devnull, os.O_RDWR) if end == DEVNULL else os.dup(end))
        passed = [_Passed(end) for end in theirs]
        self._process = CONTEXT.Process(
            target=_main, args=(list(words), dict(env), passed, start_new_session, preexec_fn), daemon=True
        )
        self._process.start()
        for end in theirs:
            os.close(end)
        self.stdin, self.stdout, self.stderr = (_text(end, "r" if number else "w") for number, end in enumerate(ours))
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wait()
        self.close()

    def close(self) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, seconds: float = SECONDS) -> int:
        self._process.join(seconds)
        if (code := self.returncode) is None:
            raise TimeoutExpired("a command", seconds)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(words: Sequence[str], env: Mapping[str, str], input: str = "") -> "CompletedProcess[str]":
    """To its end. What is said on either side is less than a pipe holds."""
    with Forked(words, env, stdin=PIPE) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdin.write(input)
        process.stdin.close()
        said, complained = process.stdout.read(), process.stderr.read()
        return CompletedProcess(list(words), process.wait(), said, complained)


class _Passed:
    """A descriptor that goes along with the process which is being started."""

    def __init__(self, end: int) -> None:
        self._end = end

    def __reduce__(self) -> tuple[Any, ...]:
        return _detached, (DupFd(self._end),)


def _detached(passed: Any) -> int:
    end: int = passed.detach()
    return end


def _text(end: int | None, mode: str) -> IO[str] | None:
    return None if end is None else open(end, mode)


def _main(
    words: list[str], env: dict[str, str], ends: list[int], new_session: bool, before: Callable[[], None] | None
) -> None:
    """In the process."""
    for number, end in enumerate(ends):
        os.dup2(end, number)
        os.close(end)
    if new_session:
        os.setsid()
    if before is not None:
        before()
    os.environ.clear()
    os.environ.update(env)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, buffering=1, errors="backslashreplace")  # noqa: SIM115
    sys.argv = ["openclaw-gateway", *words]
    from gateway.__main__ import main

    main()
