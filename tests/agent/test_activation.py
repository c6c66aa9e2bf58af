import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.agent import activation
from gateway.agent.activation import adopt_connection, inherit_listener
from gateway.errors import BadDescriptors
from tests.slack import LIMIT_S


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        sock.listen()
        yield sock


@pytest.fixture(autouse=True)
def first(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where descriptors begin, far from those that this process has."""
    monkeypatch.setattr(activation, "FIRST", 200)
    yield 200
    os.closerange(200, 210)


def words(count: int, names: str | None = "agent", pid: int | None = None) -> dict[str, str]:
    given = {"LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDS": str(count), "OTHER": "stays"}
    return given | ({"LISTEN_FDNAMES": names} if names else {})


def test_the_listener_is_found_and_the_words_are_gone(listener: socket.socket, first: int) -> None:
    os.dup2(listener.fileno(), first, inheritable=True)
    environ = words(1)
    found = inherit_listener(environ)
    assert found is not None and found.fileno() == first and found.family == socket.AF_UNIX
    assert environ == {"OTHER": "stays"} and not os.get_inheritable(first) and found.getblocking() is False
    found.close()


def test_others_are_closed(listener: socket.socket, first: int) -> None:
    os.dup2(0, first)
    os.dup2(listener.fileno(), first + 1)
    found = inherit_listener(words(2, "stored:agent"))
    assert found is not None and found.fileno() == first + 1
    with pytest.raises(OSError):
        os.fstat(first)
    found.close()


def test_a_listener_without_a_name_is_ours_if_it_is_the_only_one(listener: socket.socket, first: int) -> None:
    os.dup2(listener.fileno(), first)
    found = inherit_listener(words(1, None))
    assert found is not None
    found.close()


def test_what_is_meant_for_another_process_is_not_taken() -> None:
    environ = words(1, pid=1)
    assert inherit_listener(environ) is None and environ == {"OTHER": "stays"}
    assert inherit_listener({}) is None


@pytest.mark.parametrize(
    "given",
    [
        {"LISTEN_FDS": "many"},
        {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "gateway"},
        {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "agent:agent"},
        {"LISTEN_FDS": "9000"},
    ],
)
def test_nonsense_is_refused_with_what_was_given(given: dict[str, str]) -> None:
    with pytest.raises(BadDescriptors) as error:
        inherit_listener({"LISTEN_PID": str(os.getpid()), **given})
    assert f"LISTEN_FDS={given['LISTEN_FDS']}" in str(error.value) and "openclaw-agent.socket" in str(error.value)


def test_what_cannot_be_listened_on_is_refused(first: int) -> None:
    for made, said in (
        (socket.socket(socket.AF_INET), "AF_INET/SOCK_STREAM, not a Unix stream"),
        (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), "AF_UNIX/SOCK_DGRAM"),
        (socket.socket(socket.AF_UNIX), "does not listen"),
    ):
        with made:
            os.dup2(made.fileno(), first)
        with pytest.raises(BadDescriptors, match=said):
            inherit_listener(words(1))
    os.dup2(0, first)
    with pytest.raises(BadDescriptors, match="is not a socket"):
        inherit_listener(words(1))


def test_one_end_of_a_pair_is_adopted(listener: socket.socket) -> None:
    ours, theirs = socket.socketpair()
    os.set_inheritable(ours.fileno(), True)
    found = adopt_connection(ours.detach())
    assert not os.get_inheritable(found.fileno())
    found.close()
    theirs.close()
    with pytest.raises(BadDescriptors, match=r"listens\. --fd is for a gateway"):
        adopt_connection(listener.fileno())
    for fd in (9999, -1, 2**40):
        with pytest.raises(BadDescriptors, match="cannot be used"):
            adopt_connection(fd)


@pytest.mark.process
def test_children_get_neither_the_words_nor_the_descriptor(listener: socket.socket) -> None:
    program = """
import os, subprocess, sys
from gateway.agent import activation
activation.FIRST = int(sys.argv[1])
os.environ["LISTEN_PID"] = str(os.getpid())
assert activation.inherit_listener(os.environ)
print(subprocess.run("env; ls -l /proc/self/fd", shell=True, close_fds=False, capture_output=True, text=True).stdout)
"""
    fd = listener.fileno()
    environ = {**os.environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "agent"}
    command = [sys.executable, "-c", program, str(fd)]
    done = subprocess.run(command, env=environ, pass_fds=[fd], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    assert "PATH=" in done.stdout and "LISTEN_" not in done.stdout and "socket:" not in done.stdout
