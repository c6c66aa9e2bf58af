"""Inherited descriptors are tested in a real child process, because their numbers begin at 3."""

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import BadDescriptors
from gateway.handover.ledger import SLOTS
from gateway.systemd.descriptors import inherit

pytestmark = pytest.mark.process


CHILD = """
import json, os, subprocess, sys
from gateway.errors import GatewayError
from gateway.machine.listeners import address_text
from gateway.systemd.descriptors import inherit
try:
    got = inherit(os.environ)
except GatewayError as error:
    print(json.dumps({"error": str(error), "code": int(error.exit_code)})); sys.exit()
fds = [s.fileno() for s in got.listeners] + list(got.others.values())
print(json.dumps({
    "listeners": [address_text(s) for s in got.listeners], "systemd": got.held_by_systemd, "others": dict(got.others),
    "inheritable": [os.get_inheritable(fd) for fd in fds],
    "environ": sorted(n for n in os.environ if n.startswith("LISTEN_")),
    "child": subprocess.run(["env"], capture_output=True, text=True, close_fds=False).stdout.count("LISTEN_"),
}))
"""


def child(fds: list[int], names: str | None = None, **words: str) -> dict[str, object]:
    """Run CHILD with `fds` on the numbers 3, 4, … and the words of sd_listen_fds(3)."""
    program = "import os, sys\n"
    program += f"fds = {fds!r}\n"
    program += "moved = [os.dup(fd) for fd in fds]\n"
    program += "import fcntl\nmoved = [fcntl.fcntl(fd, fcntl.F_DUPFD, 50) for fd in fds]\n"
    program += "for n, fd in enumerate(moved): os.dup2(fd, 3 + n, inheritable=True)\n"
    program += "os.environ.setdefault('LISTEN_PID', str(os.getpid()))\n"
    program += f"os.execv({sys.executable!r}, [{sys.executable!r}, '-c', {CHILD!r}])\n"
    environ = {**os.environ, "LISTEN_FDS": str(len(fds)), "PYTHONPATH": os.getcwd(), **words}
    if names is not None:
        environ["LISTEN_FDNAMES"] = names
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, pass_fds=fds, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    return result | {"stderr": done.stderr}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def test_listeners_are_taken_by_name_and_closed_on_exec(listener: socket.socket) -> None:
    got = child([listener.fileno()], "gateway")
    assert got["listeners"] == [f"127.0.0.1:{listener.getsockname()[1]}"]
    assert got["systemd"] is True
    assert got["inheritable"] == [False]
    assert got["environ"] == [] and got["child"] == 0


def test_both_families_and_other_descriptors_in_any_order(listener: socket.socket, tmp_path: Path) -> None:
    record = os.memfd_create("record")
    lease = os.open(tmp_path, os.O_RDONLY)
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as six:
        got = child([record, listener.fileno(), lease, six.fileno()], "record:gateway:lease:gateway")
    assert len(got["listeners"]) == 2  # type: ignore[arg-type]
    assert got["others"] == {"record": 3, "lease": 5}
    assert got["inheritable"] == [False] * 4
    os.close(record)
    os.close(lease)


def test_a_listener_of_our_own_is_not_systemds(listener: socket.socket) -> None:
    assert child([listener.fileno()], "bound")["systemd"] is False


def test_a_listener_under_a_name_of_the_users_choice_is_a_listener(listener: socket.socket) -> None:
    got = child([listener.fileno()], "openclaw-gateway.socket")
    assert got["systemd"] is True and got["listeners"]


def test_words_for_another_process_are_ignored(listener: socket.socket) -> None:
    got = child([listener.fileno()], "gateway", LISTEN_PID="1")
    assert got["listeners"] == []
    assert "wrapper that forks" in str(got["stderr"])
    assert got["environ"] == []


def test_no_words_is_no_error() -> None:
    assert child([], LISTEN_FDS="")["listeners"] == []


@pytest.mark.parametrize("count", ["0", "garbage", "-1", "99999999999999999999", "3 4"])
def test_garbage_in_listen_fds_names_what_was_passed(count: str) -> None:
    got = child([], LISTEN_FDS=count)
    assert got["code"] == 12
    assert count in str(got["error"])


def test_more_descriptors_announced_than_open(listener: socket.socket) -> None:
    got = child([listener.fileno()], "gateway:gateway", LISTEN_FDS="2")
    assert got["code"] == 12


def test_a_socket_that_does_not_listen_is_refused_with_the_way_out(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()) as connection:
        got = child([connection.fileno()], "gateway")
    assert got["code"] == 12
    assert "does not listen" in str(got["error"]) and "Accept=no" in str(got["error"])


def test_a_datagram_socket_is_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        assert "not a TCP socket" in str(child([sock.fileno()], "gateway")["error"])


def test_a_unix_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        sock.listen()
        assert "AF_UNIX" in str(child([sock.fileno()], "gateway")["error"])


def test_a_file_is_refused_by_its_path(tmp_path: Path) -> None:
    with open(tmp_path / "file", "w") as file:
        got = child([file.fileno()], "gateway")
    assert "is not a socket" in str(got["error"]) and "file" in str(got["error"])


def test_what_this_version_does_not_know_is_closed(tmp_path: Path, listener: socket.socket) -> None:
    with open(tmp_path / "file", "w") as file:
        got = child([file.fileno(), listener.fileno()], "future:gateway")
    assert got["listeners"] and "future" in str(got["stderr"])


def run_program(program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        timeout=30,
    )


HAND_OVER = """
import json, os, socket, sys
from gateway.systemd.descriptors import hand_over, inherit
if "LISTEN_FDS" in os.environ:
    got = inherit(os.environ)
    print(json.dumps([[s.getsockname() for s in got.listeners], got.held_by_systemd, sorted(got.others)]))
else:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    record, lease = os.memfd_create("r"), os.open("/", os.O_RDONLY)
    words = hand_over(listeners, True, [("record", record), ("lease", lease)])
    os.execve(sys.executable, sys.orig_argv, {**os.environ, **words})
"""


def test_what_is_handed_over_is_inherited_again() -> None:
    done = run_program(HAND_OVER)
    listeners, by_systemd, others = json.loads(done.stdout)
    assert len(listeners) == 2 and by_systemd is True and others == ["lease", "record"]


WITH_A_THREAD = """
import os, select, socket, sys, threading, time
from gateway.systemd.descriptors import hand_over, inherit
if "LISTEN_FDS" in os.environ:
    got = inherit(os.environ)
    print([os.read(fd, 100) for fd in got.connections.values()])
else:
    ours, theirs = os.pipe()  # the lowest numbers, which are those that systemd passes
    def read():
        while True:
            select.select([ours], [], [])
            os.read(ours, 3)
    threading.Thread(target=read, daemon=True).start()
    ends = [socket.socketpair() for _ in range(3)]
    for _, end in ends:
        os.set_inheritable(end.fileno(), True)
        end.sendall(b"what a client says")
    words = hand_over([], True, [(f"conn-{n}", end.fileno()) for n, (end, _) in enumerate(ends, 1)])
    os.write(theirs, b"x")
    time.sleep(0.1)  # in which the thread reads whatever has its number now
    os.execve(sys.executable, sys.orig_argv, {**os.environ, **words})
"""


def test_no_thread_reads_from_what_is_handed_over() -> None:
    """watchdog's, which waits for inotify, outlives whoever has stopped watching."""
    done = run_program(WITH_A_THREAD)
    assert done.stdout == f"{[b'what a client says'] * 3}\n", done.stderr


@pytest.mark.parametrize(
    ("numbers", "names"), [("3:x", "conn-1:conn-2"), ("3", "conn-1:conn-2"), ("99999", "conn-1"), ("", "")]
)
def test_numbers_that_cannot_be_are_an_error_that_names_them(numbers: str, names: str) -> None:
    words = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": names, "LISTEN_FDNUMBERS": numbers}
    with pytest.raises(BadDescriptors, match=f"LISTEN_FDNUMBERS={numbers} LISTEN_FDNAMES={names}: "):
        inherit(words)


CROWD = """
import os, resource, sys
from gateway.handover.ledger import SLOTS
from gateway.systemd.descriptors import hand_over, inherit
if "LISTEN_FDS" in os.environ:
    got = inherit(os.environ)
    inheritable = [fd for fd in (*got.connections.values(), *got.http.values()) if os.get_inheritable(fd)]
    print(len(got.connections), len(got.http), sorted(got.others), len(got.listeners), inheritable)
else:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    null = os.open("/dev/null", os.O_RDONLY)
    named = [(name, os.dup(null)) for name in ("ledger", "parting", "record", "lease", "http-0")]
    named += [(f"conn-{10**10 - number}", os.dup(null)) for number in range(1, SLOTS + 1)]
    os.execve(sys.executable, sys.orig_argv, {**os.environ, **hand_over([], True, named)})
"""


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < SLOTS + 100, reason="too few descriptors")
def test_as_many_connections_as_there_can_be_are_handed_over() -> None:
    """The kernel takes 128 KiB for each variable; with ten digits the names are good for ten billion clients."""
    done = subprocess.run(
        [sys.executable, "-c", CROWD],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == f"{SLOTS} 1 ['lease', 'ledger', 'parting', 'record'] 0 []\n", done.stderr


def test_bad_descriptors_has_its_own_exit_code() -> None:
    assert BadDescriptors.exit_code == 12
