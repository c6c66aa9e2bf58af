"""Where a secret goes: against a made-up /proc, and once against a real listener of another user."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.lifecycle.peer import PLAINTEXT, Untrusted, owners, refuse_untrusted, refuse_user_info
from tests.machine.test_holders import HEAD, ME, v4, v6

STRANGER = 54321
NEAR, FAR = ("127.0.0.1", 40000), ("127.0.0.1", 18789)
MAPPED = v6("::ffff:127.0.0.1", 18789), v6("::ffff:127.0.0.1", 40000)
ESTABLISHED, LISTEN = "01", "0A"


def row(local: str, uid: int, state: str = LISTEN, remote: str = "00000000:0000") -> str:
    return f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000 {uid:5d} 0 100 1\n"


def accepted(uid: int, local: str = v4("127.0.0.1"), remote: str = v4("127.0.0.1", 40000)) -> str:
    return row(local, uid, ESTABLISHED, remote)


def made(folder: Path, *rows: str, six: tuple[str, ...] = ()) -> Path:
    (folder / "net").mkdir()
    (folder / "net/tcp").write_text(HEAD + "".join(rows))
    (folder / "net/tcp6").write_text(HEAD + "".join(six))
    return folder


@pytest.mark.parametrize(
    ("rows", "six", "uids"),
    [
        ([row(v4("127.0.0.1"), ME)], [], {ME}),
        ([row(v4("127.0.0.1"), ME), accepted(ME)], [], {ME}),
        ([row(v4("127.0.0.1"), STRANGER), accepted(STRANGER)], [], {STRANGER}),
        # The listener is closed as soon as somebody has come.
        ([accepted(STRANGER)], [], {STRANGER}),
        # It belongs to the user's systemd, and a process of another user has accepted.
        ([row(v4("127.0.0.1"), ME), accepted(STRANGER)], [], {STRANGER}),
        # Nobody has accepted yet: an older kernel says 0.
        ([row(v4("127.0.0.1"), STRANGER), accepted(0)], [], {STRANGER, 0}),
        ([row(v4("0.0.0.0"), STRANGER)], [], {STRANGER}),
        ([], [row(v6("::"), STRANGER)], {STRANGER}),
        ([], [accepted(STRANGER, *MAPPED)], {STRANGER}),
        # One for the address itself is the one that answers.
        ([row(v4("127.0.0.1"), ME), row(v4("0.0.0.0"), STRANGER)], [row(v6("::"), STRANGER)], {ME}),
        # Another port, another address, our own end.
        ([row(v4("127.0.0.1", 18790), STRANGER), row(v4("127.0.0.2"), STRANGER)], [], set()),
        ([accepted(STRANGER, v4("127.0.0.1", 40000), v4("127.0.0.1"))], [], set()),
        ([accepted(STRANGER, remote=v4("127.0.0.1", 40001))], [], set()),
    ],
)
def test_whose_the_other_end_is(rows: list[str], six: list[str], uids: set[int], tmp_path: Path) -> None:
    proc = made(tmp_path, *rows, six=tuple(six))
    assert owners(NEAR, FAR, proc) == uids
    if uids <= {ME, 0}:
        refuse_untrusted("ws://127.0.0.1:18789", NEAR, FAR, proc=proc)
        return
    with pytest.raises(Untrusted, match=rf"nothing was sent: 127.0.0.1:18789 .*\(uid {STRANGER}\).*{PLAINTEXT}=1"):
        refuse_untrusted("ws://127.0.0.1:18789", NEAR, FAR, proc=proc)
    refuse_untrusted("ws://127.0.0.1:18789", NEAR, FAR, plaintext=True, proc=proc)


def test_without_a_proc_that_can_be_read_loopback_is_trusted(tmp_path: Path) -> None:
    assert owners(NEAR, FAR, tmp_path / "none") == set()
    (tmp_path / "net/tcp").mkdir(parents=True)  # reading it fails
    assert owners(NEAR, FAR, tmp_path) == set()
    refuse_untrusted("ws://localhost:18789", ("::1", 5), ("::1", 18789), proc=tmp_path)


def test_an_address_of_this_machine_is_as_loopback(tmp_path: Path) -> None:
    near, far = ("192.168.1.5", 40000), ("192.168.1.5", 18789)
    proc = made(tmp_path, row(v4("192.168.1.5"), ME))
    (proc / "net/fib_trie").write_text("  |-- 192.168.1.5\n        /32 host LOCAL\n")
    refuse_untrusted("ws://192.168.1.5:18789", near, far, proc=proc)
    (proc / "net/tcp").write_text(HEAD + row(v4("192.168.1.5"), STRANGER))
    with pytest.raises(Untrusted, match=f"uid {STRANGER}"):
        refuse_untrusted("ws://192.168.1.5:18789", near, far, proc=proc)


@pytest.mark.parametrize("host", ["10.0.0.7", "192.168.1.9", "100.64.3.3", "169.254.1.1", "fd00::7", "fe80::1%eth0"])
def test_in_clear_to_another_machine_only_if_it_is_said(host: str, tmp_path: Path) -> None:
    proc = made(tmp_path)
    with pytest.raises(Untrusted, match="wss://.*ssh -N -L 18790:127.0.0.1:28863 vm, .*" + PLAINTEXT):
        refuse_untrusted("ws://vm:28863", ("10.0.0.1", 5), (host, 28863), proc=proc)
    refuse_untrusted("ws://vm:28863", ("10.0.0.1", 5), (host, 28863), plaintext=True, proc=proc)


@pytest.mark.parametrize("host", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8"])
def test_through_the_internet_never(host: str, tmp_path: Path) -> None:
    with pytest.raises(Untrusted, match="internet") as refused:
        refuse_untrusted("ws://gw.example:1", ("10.0.0.1", 5), (host, 1), plaintext=True, proc=made(tmp_path))
    assert PLAINTEXT not in str(refused.value)


@pytest.mark.parametrize("url", ["ws://u:p@127.0.0.1:1", "http://u:p@h"])
def test_a_password_in_the_address_needs_tls(url: str) -> None:
    with pytest.raises(Untrusted, match="wss://"):
        refuse_user_info(url)
    refuse_user_info("wss://u:p@h")


SQUATTER = """\
import os, socket, sys
os.setuid(int(sys.argv[1]))
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
accepted = listener.accept()[0] if sys.argv[2] == "accepts" else None
if accepted: listener.close(); print("accepted", flush=True)
sys.stdin.read()
"""


@pytest.mark.process
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be another user")
@pytest.mark.parametrize("how", ["listens", "accepts"])
def test_the_kernel_says_who_it_is(how: str) -> None:
    words = [sys.executable, "-c", SQUATTER, str(STRANGER), how]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as squatter:
        assert squatter.stdout is not None
        port = int(squatter.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as connection:
            if how == "accepts":
                assert squatter.stdout.readline() == "accepted\n"
            near, far = connection.getsockname(), connection.getpeername()
            assert STRANGER in owners(near, far)
            with pytest.raises(Untrusted, match=re.escape(f"127.0.0.1:{port}")):
                refuse_untrusted(f"ws://127.0.0.1:{port}", near, far)
        squatter.communicate()
