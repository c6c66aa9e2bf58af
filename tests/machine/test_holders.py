"""Who holds a port: against a made-up /proc, and once against the real one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.machine.holders import COMMAND_LIMIT, Holder, command, describe, holders, openers, unit, user_name

ME = os.getuid()
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def line(address: str, state: str = "0A", uid: int = ME, inode: int = 100) -> str:
    return f"   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 {uid:5d} 0 {inode} 1\n"


def v4(host: str, port: int = 18789) -> str:
    return f"{int.from_bytes(socket.inet_pton(socket.AF_INET, host), sys.byteorder):08X}:{port:04X}"


def v6(host: str, port: int = 18789) -> str:
    packed = socket.inet_pton(socket.AF_INET6, host)
    words = (packed[at : at + 4] for at in range(0, 16, 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{port:04X}"


class Proc:
    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "net").mkdir()
        self.table("tcp")

    def table(self, name: str, *lines: str) -> None:
        (self.root / "net" / name).write_text(HEAD + "".join(lines))

    def process(self, pid: int, *inodes: int, cmdline: str = "nc -l", cgroup: str = "0::/user.slice\n") -> None:
        folder = self.root / str(pid)
        (folder / "fd").mkdir(parents=True)
        for number, inode in enumerate(inodes, 3):
            (folder / "fd" / str(number)).symlink_to(f"socket:[{inode}]")
        (folder / "fd/0").symlink_to("/dev/null")
        (folder / "cmdline").write_text(cmdline.replace(" ", "\0") + "\0")
        (folder / "cgroup").write_text(cgroup)


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def test_a_process_with_its_command_and_unit(proc: Proc) -> None:
    proc.table("tcp", line(v4("127.0.0.1")))
    proc.process(42, 100, cgroup="1:cpu:/x.service\n0::/user.slice/user@1.service/app.slice/nc.service/child\n")
    proc.process(43, 999)
    (found,) = holders(("127.0.0.1", 18789), proc.root)
    assert (found.pid, found.uid, found.command, found.unit) == (42, ME, "nc -l", "nc.service")
    assert not found.is_systemd


@pytest.mark.parametrize(
    ("held", "wanted", "conflict"),
    [
        (v4("127.0.0.1"), "127.0.0.1", True),
        (v4("0.0.0.0"), "127.0.0.1", True),
        (v4("127.0.0.1"), "0.0.0.0", True),
        (v4("10.0.0.1"), "127.0.0.1", False),
        (v4("0.0.0.0"), "::1", False),
        (v6("::1"), "::1", True),
        (v6("::"), "::1", True),
        (v6("::"), "127.0.0.1", True),
        (v6("::ffff:127.0.0.1"), "127.0.0.1", True),
        (v6("::1"), "127.0.0.1", False),
        (v6("fd00::1"), "::", True),
        (v4("127.0.0.1", 18790), "127.0.0.1", False),
    ],
)
def test_which_listener_is_in_the_way(proc: Proc, held: str, wanted: str, conflict: bool) -> None:
    proc.table("tcp6" if len(held) > 13 else "tcp", line(held))
    assert bool(holders((wanted, 18789), proc.root)) is conflict


def test_a_connection_is_no_listener(proc: Proc) -> None:
    proc.table("tcp", line(v4("127.0.0.1"), state="01"))
    assert holders(("127.0.0.1", 18789), proc.root) == []


def test_another_users_process_is_only_a_uid(proc: Proc) -> None:
    proc.table("tcp", line(v4("127.0.0.1"), uid=4_000_000_000))
    (found,) = holders(("127.0.0.1", 18789), proc.root)
    assert found == Holder(None, 4_000_000_000, "4000000000", "", None)
    assert "a process of user 4000000000: ask them" in describe([found], 18789)


def test_all_who_share_a_listener_are_named(proc: Proc) -> None:
    proc.table("tcp", line(v4("127.0.0.1")))
    proc.process(50, 100, cmdline="second")
    proc.process(7, 100, cmdline="first")
    found = holders(("127.0.0.1", 18789), proc.root)
    assert [holder.pid for holder in found] == [7, 50]
    assert "pid 7 (first) and pid 50 (second): stop it yourself" in describe(found, 18789)


def test_a_process_that_ends_while_we_look(proc: Proc) -> None:
    assert command(99, proc.root) == "gone"
    assert unit(99, proc.root) is None


def test_secrets_in_a_command_line_are_hidden_and_long_ones_cut(proc: Proc) -> None:
    proc.process(5, cmdline="openclaw gateway --token s3cret --password=s3cret --port 1")
    assert command(5, proc.root) == "openclaw gateway --token '***' '--password=***' --port 1"
    proc.process(6, cmdline="x" * (COMMAND_LIMIT + 1))
    assert len(command(6, proc.root)) == COMMAND_LIMIT
    proc.process(8, cmdline="x" * COMMAND_LIMIT)
    assert command(8, proc.root) == "x" * COMMAND_LIMIT


def test_a_kernel_thread_has_a_name_only(proc: Proc) -> None:
    proc.process(2, cmdline="")
    (proc.root / "2/cmdline").write_bytes(b"")
    (proc.root / "2/comm").write_text("kthreadd\n")
    assert command(2, proc.root) == "kthreadd"


MANAGER = Holder(12, ME, "me", "/lib/systemd/systemd --user", "init.scope")
GATEWAY = Holder(93, ME, "me", "openclaw-gateway run", "openclaw-gateway.service")


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            [MANAGER],
            "held by systemd for openclaw-gateway.socket: start the service instead with `systemctl --user start",
        ),
        ([MANAGER, GATEWAY], "openclaw-gateway.service serves it (pid 93): it is running"),
        ([Holder(12, ME + 1, "bob", "/lib/systemd/systemd --user", "init.scope")], "socket unit of user bob"),
        ([Holder(1, 0, "root", "/sbin/init", None)], "system socket unit"),
        ([Holder(1, ME, "me", "node index.js", None)], "pid 1 (node index.js): stop it yourself"),
        (
            [Holder(4242, ME, "me", "nc -l", "session-3.scope")],
            "pid 4242 (nc -l, in session-3.scope): stop it yourself",
        ),
        ([Holder(4242, ME + 1, "bob", "nc -l", None)], "pid 4242 of user bob (nc -l)"),
        ([], "nobody listens on it now"),
    ],
)
def test_the_sentence(found: list[Holder], sentence: str) -> None:
    said = describe(found, 18789)
    assert said.startswith("port 18789 ")
    assert sentence in said
    assert "--port" in said


@pytest.mark.process
def test_a_real_listener_and_a_child_that_inherited_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        mine = {os.getpid()}
        assert {holder.pid for holder in holders(address)} == mine
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[listener.fileno()]) as child:
            found = {holder.pid: holder for holder in holders(address)}
            assert found.keys() == mine | {child.pid}
            assert found[child.pid].command == "cat"
            assert child.stdin is not None
            child.stdin.close()
    assert holders(address) == []


def test_a_user_without_a_name_is_his_number() -> None:
    assert user_name(0) == "root"
    assert user_name(4_000_000) == "4000000"


def test_who_has_a_file_open_or_its_wal(tmp_path: Path) -> None:
    proc, file = tmp_path / "proc", tmp_path / "a.sqlite"
    for pid, target in ((7, f"{file}-wal"), (5, str(file)), (6, "/etc/passwd"), (os.getpid(), str(file))):
        (proc / str(pid) / "fd").mkdir(parents=True)
        (proc / str(pid) / "fd" / "3").symlink_to(target)
        (proc / str(pid) / "cmdline").write_bytes(b"sqlite3\0a.sqlite\0")
    (proc / "8").mkdir()  # another user's
    assert [holder.pid for holder in openers(file, proc)] == [5, 7]
    assert "sqlite3 a.sqlite" in str(openers(file, proc)[0])
