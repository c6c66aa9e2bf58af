"""Processes in the namespaces of a user manager, which starter.py starts."""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL
STARTER = Path(__file__).with_name("starter.py")
MESSAGE = 4096
"""The most bytes of an answer of the starter."""


class Inside:
    """Has what `subprocess.Popen[str]` has; its `pid` is the one outside."""

    def __init__(self, door: "Door", words: Sequence[str], place: Mapping[str, Any], *standard: int) -> None:
        """`place` is how the process lives, as starter.py wants it; `standard` are its three descriptors, or PIPE."""
        self.args = words
        self.returncode: int | None = None
        self._readers: list[tuple[threading.Thread, list[str]]] = []
        self._told, answers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ExitStack() as theirs:
            theirs.enter_context(answers)
            files = [_file(number, kind, theirs) for number, kind in enumerate(standard)]
            self.stdin, self.stdout, self.stderr = (ours for ours, _ in files)
            door.ask({"words": words, **place}, *(end for _, end in files), answers.fileno())
        data, rights, _, _ = socket.recv_fds(self._told, MESSAGE, 1)
        if not rights:
            raise AssertionError(f"{' '.join(words)} was not started: {data.decode() or 'the manager has ended'}")
        self.pid: int = json.loads(data)["pid"]
        (self._process,) = rights

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.stdin is not None:
            _close(self.stdin)
        self.wait()
        # Whoever still holds the other end of a pipe lets nobody close ours while a thread reads it.
        if not any(reader.is_alive() for reader, _ in self._readers):
            for file in (self.stdout, self.stderr):
                if file is not None:
                    file.close()

    def poll(self) -> int | None:
        return self._end(0)

    def wait(self, timeout: float | None = None) -> int:
        if (status := self._end(timeout)) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return status

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Says no more, and hears what it has said and says until its end."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if self.stdin is not None:
            _close(self.stdin)
        if not self._readers:
            self._readers = [_reader(file) for file in (self.stdout, self.stderr)]
        for reader, _ in self._readers:
            reader.join(None if deadline is None else max(0, deadline - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(None if deadline is None else max(0, deadline - time.monotonic()))
        out, err = ("".join(found) for _, found in self._readers)
        return out, err

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            try:
                signal.pidfd_send_signal(self._process, number)
            except ProcessLookupError:
                pass  # it has ended, and we are yet to be told

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _end(self, timeout: float | None) -> int | None:
        """Its status, once it has ended; without a starter it has ended, too."""
        if self.returncode is None:
            heard = select.poll()
            heard.register(self._told, select.POLLIN)
            if heard.poll(None if timeout is None else timeout * 1000):
                data = self._told.recv(MESSAGE)
                self.returncode = json.loads(data)["status"] if data else -signal.SIGKILL
                self._told.close()
                os.close(self._process)
        return self.returncode


class Door:
    """Leads into one manager's namespaces."""

    def __init__(self, init: int) -> None:
        """`init` is their first process."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            _send(_starter(), {"init": init}, theirs.fileno())

    def ask(self, command: Mapping[str, Any], *descriptors: int) -> None:
        _send(self._socket, command, *descriptors)

    def connect(self, path: str) -> socket.socket:
        """A connection to a Unix socket inside, made by a process inside."""
        told, answers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with told:
            with answers:
                self.ask({"connect": path}, answers.fileno())
            data, rights, _, _ = socket.recv_fds(told, MESSAGE, 1)
        if not rights:
            raise ConnectionRefusedError(f"{path} takes no connection: {data.decode()}")
        return socket.socket(fileno=rights[0])

    def close(self) -> None:
        """Waits until nobody of ours is in the namespaces."""
        self._socket.shutdown(socket.SHUT_WR)
        self._socket.recv(1)
        self._socket.close()


_running: list[socket.socket] = []


def _starter() -> socket.socket:
    if not _running:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen([sys.executable, "-IS", STARTER], stdin=theirs, start_new_session=True)
        _running.append(ours)
        atexit.register(_finish, ours, process)
    return _running[0]


def _finish(ours: socket.socket, process: subprocess.Popen[bytes]) -> None:
    ours.close()
    process.wait()


def _send(to: socket.socket, message: Mapping[str, Any], *descriptors: int) -> None:
    socket.send_fds(to, [json.dumps(message, default=str).encode()], descriptors)


def _file(number: int, kind: int, theirs: ExitStack) -> tuple[IO[str] | None, int]:
    """Our end of this standard file, if it is a pipe, and the end of the process."""
    if kind not in (PIPE, DEVNULL):
        return None, kind
    if kind == DEVNULL:
        end = os.open(os.devnull, os.O_RDWR)
        theirs.callback(os.close, end)
        return None, end
    reads, writes = os.pipe()
    ours, end = (writes, reads) if number == 0 else (reads, writes)
    theirs.callback(os.close, end)
    return open(ours, "w" if number == 0 else "r", encoding="utf-8"), end


def _close(file: IO[str]) -> None:
    try:
        file.close()
    except BrokenPipeError:
        pass  # it has not read everything


def _reader(file: IO[str] | None) -> tuple[threading.Thread, list[str]]:
    """Reads all there is, into a list of one."""
    found: list[str] = []
    thread = threading.Thread(target=lambda: file and found.append(file.read()), daemon=True)
    thread.start()
    return thread, found
