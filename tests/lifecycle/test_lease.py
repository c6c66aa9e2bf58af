import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import AlreadyRunning
from gateway.lifecycle.lease import acquire, obstacle


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
