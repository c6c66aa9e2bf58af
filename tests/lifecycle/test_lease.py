import errno
import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import AlreadyRunning
from gateway.lifecycle import lease as leases
from gateway.lifecycle.lease import HOST_NAME, MAX_HOST, acquire, obstacle


def test_the_first_gets_it_and_creates_the_folder_for_the_user_alone(tmp_path: Path) -> None:
    state = tmp_path / "deep" / "state"
    lease = acquire(state)
    assert lease.fd is not None and lease.problem is None
    assert state.stat().st_mode & 0o777 == 0o700
    assert list(state.iterdir()) == []
    os.close(lease.fd)


@pytest.mark.process
def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, os, sys\n"
            "fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)\n"
            "print('held', flush=True)\nsys.stdin.read()",
            str(tmp_path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    with pytest.raises(AlreadyRunning) as refused:
        acquire(tmp_path)
    assert f"pid {holder.pid}" in str(refused.value)
    assert "openclaw-gateway restart" in str(refused.value)
    assert refused.value.exit_code == 11
    holder.communicate()  # its death frees the lock
    lease = acquire(tmp_path)
    assert lease.fd is not None
    os.close(lease.fd)


def test_the_lease_of_the_previous_image_is_ours(tmp_path: Path) -> None:
    first = acquire(tmp_path)
    assert acquire(tmp_path, first.fd) == first
    assert first.fd is not None
    os.close(first.fd)


def test_the_lease_of_another_folder_is_given_back(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    first = acquire(one)
    second = acquire(two, first.fd)
    again = acquire(one)
    for lease in (second, again):
        assert lease.fd is not None
        os.close(lease.fd)


def test_a_folder_that_cannot_be_made_is_a_problem_and_no_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lease = acquire(tmp_path / "file" / "state")
    assert lease.fd is None and lease.problem is not None and "file" in lease.problem


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_locked_all_the_same(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    lease = acquire(tmp_path)
    assert lease.fd is not None and lease.problem is not None and "not writable" in lease.problem
    os.close(lease.fd)


def test_the_lock_is_closed_on_exec(tmp_path: Path) -> None:
    lease = acquire(tmp_path)
    assert lease.fd is not None and not os.get_inheritable(lease.fd)
    with pytest.raises(BlockingIOError):
        other = os.open(tmp_path, os.O_RDONLY)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(other)
    os.close(lease.fd)


def test_a_folder_that_was_replaced_and_taken_stands_in_the_way_of_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state"
    ours = acquire(state)
    assert obstacle(state, ours.fd) is None
    state.rename(tmp_path / "moved")
    assert obstacle(state, ours.fd) is None  # it will be made anew
    theirs = acquire(state)
    told = obstacle(state, ours.fd)
    assert told is not None and f"pid {os.getpid()}" in told
    assert theirs.fd is not None and ours.fd is not None
    os.close(theirs.fd)
    assert obstacle(state, ours.fd) is None
    os.close(ours.fd)
    assert obstacle(state, None) is None


LOCKLESS = [errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EROFS, errno.ENOSYS, errno.EIO]
"""What flock(2) of a folder ends with on NFS, 9p, virtiofs, FUSE and others."""


@pytest.fixture
def lockless(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Folders cannot be locked, files can."""
    real = fcntl.flock

    def forbid(code: int) -> None:
        def flock(fd: int, operation: int) -> None:
            if os.path.isdir(f"/proc/self/fd/{fd}"):
                raise OSError(code, os.strerror(code))
            real(fd, operation)

        monkeypatch.setattr(fcntl, "flock", flock)

    return forbid


@pytest.mark.parametrize("code", LOCKLESS)
def test_a_folder_that_cannot_be_locked_is_used_all_the_same(
    tmp_path: Path, lockless: Callable[[int], None], code: int
) -> None:
    lockless(code)
    state, stand_in = tmp_path / "state", tmp_path / "run" / "control-x.lock"
    lease = acquire(state, stand_in=stand_in)
    assert lease.fd is not None and lease.problem is not None
    assert "knows no locks" in lease.problem and os.strerror(code) in lease.problem
    assert stand_in.stat().st_mode & 0o777 == 0o600
    with pytest.raises(AlreadyRunning, match="another gateway uses"):
        acquire(state, stand_in=stand_in)
    again = acquire(state, lease.fd, stand_in)  # as our next image has it
    assert again.fd == lease.fd and again.problem is not None and "knows no locks" in again.problem
    assert obstacle(state, lease.fd, stand_in) is None
    os.close(lease.fd)
    os.close(fd := acquire(state, stand_in=stand_in).fd or -1)
    assert fd > 0


def test_a_stand_in_that_cannot_be_had_is_told_and_no_end(tmp_path: Path, lockless: Callable[[int], None]) -> None:
    lockless(errno.EBADF)
    run = tmp_path / "run"
    run.mkdir(mode=0o777)
    run.chmod(0o777)  # whatever the umask
    lease = acquire(tmp_path / "state", stand_in=run / "x.lock")
    assert lease.fd is None and lease.problem is not None and "others may write it" in lease.problem
    assert acquire(tmp_path / "state").fd is None


def test_a_replaced_folder_that_cannot_be_locked_is_no_obstacle(
    tmp_path: Path, lockless: Callable[[int], None]
) -> None:
    state = tmp_path / "state"
    lease = acquire(state)
    state.rmdir()
    state.mkdir()
    lockless(errno.ENOLCK)
    assert obstacle(state, lease.fd) is None
    assert lease.fd is not None
    os.close(lease.fd)


def test_a_gateway_on_another_machine_is_noticed_until_it_has_left(
    tmp_path: Path, lockless: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    lockless(errno.EBADF)
    monkeypatch.setattr(socket, "gethostname", lambda: "attic")
    attic = acquire(tmp_path)
    assert (tmp_path / HOST_NAME).read_text() == "attic\n"
    assert "attic" not in (acquire(tmp_path).problem or "")  # itself, after a crash
    monkeypatch.setattr(socket, "gethostname", lambda: "cellar")
    cellar = acquire(tmp_path)
    assert "a gateway on attic uses" in (cellar.problem or "")
    monkeypatch.setattr(socket, "gethostname", lambda: "attic")
    attic.remove_mark()  # not its name any more
    assert (tmp_path / HOST_NAME).exists()
    monkeypatch.setattr(socket, "gethostname", lambda: "cellar")
    cellar.remove_mark()
    assert not (tmp_path / HOST_NAME).exists()


def test_a_folder_on_a_network_is_locked_and_says_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "shared_type", lambda folder: "nfs4")
    (tmp_path / "gateway").mkdir()
    (tmp_path / HOST_NAME).write_text("x" * (MAX_HOST + 1))
    lease = acquire(tmp_path)
    assert lease.fd is not None and f"a gateway on {'x' * MAX_HOST} uses" in (lease.problem or "")
    assert (tmp_path / HOST_NAME).read_text().strip() == socket.gethostname()
    os.close(lease.fd)
