"""A real `systemd --user` in private namespaces; boot.sh says what is in there.

The network is private too, so port 18789 is always free, several managers can run at once and beside a gateway of the
machine's own. They end with the process that started them.
"""

import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from tests.e2e import asking
from tests.e2e.inside import PIPE, Door, Inside
from tests.e2e.machine import make_cgroup, remove_cgroup

VENV = "/run/e2e/venv"
"""Where the tested installation lies inside."""
SCRIPTS = "/run/e2e/scripts"
"""Where the folder of this file lies inside."""
USER = "gateway"
UIDS = 10
"""User ids of each process of the tests."""
UID = 47000 + UIDS * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""The first of them. The kernel counts inotify instances for each id of the machine, and a test takes them all."""
BOOT_SECONDS = 30.0
BOOT = Path(__file__).with_name("boot.sh")

T = TypeVar("T")
_numbers = itertools.count()


def until(condition: Callable[[], T], what: str, seconds: float = 10.0) -> T:
    """Polls `condition` until it is true and returns its value; fails with `what` otherwise."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)
    return value


class UserManager:
    """`start()` it before anything else and `stop()` it at the end, or use it as a context manager."""

    def __init__(self, folder: Path, venv: Path, uid: int = UID) -> None:
        """`folder` (which may lie in a private place) takes the user's home and the boot log."""
        self.home = folder / "home"
        """The user's home, seen from outside."""
        self.inner_home = f"/home/{USER}"
        self.uid = uid
        self.runtime = f"/run/user/{uid}"
        self.log = folder / "boot.log"
        self._venv = venv
        self._cgroup: Path | None = None
        self._outer: subprocess.Popen[bytes] | None = None
        self._init = 0
        self._door: Door | None = None
        self._asked: asking.Systemd | None = None
        self._started = ExitStack()
        self._forgotten: dict[str, int] = {}

    def __enter__(self) -> "UserManager":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self._cgroup = make_cgroup(next(_numbers))
        unshare = "unshare --mount --cgroup --pid --net --fork --kill-child --mount-proc"
        enter = f'echo $$ > "$0/cgroup.procs" && exec {unshare} bash "$@"'
        places = (self.home, self._venv, BOOT.parent)
        # Standard input stays open as long as we live: its end is the end of the namespaces.
        with self.log.open("wb") as log:
            self._outer = subprocess.Popen(
                ["bash", "-c", enter, self._cgroup, BOOT, str(self.uid), *places],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            until(self._booted, "a user manager", BOOT_SECONDS)
            self._door = Door(self._init)
            self.systemctl("is-system-running", "--wait", check=False)
        except AssertionError as error:
            error.add_note(self.full_log())
            self.stop()
            raise

    def stop(self) -> None:
        if self._outer is not None and self._outer.stdin is not None:
            self._outer.stdin.close()
            self._outer.wait(timeout=10)
        self._started.close()
        self._forget_asked()
        if self._door is not None:
            self._door.close()
        if (cgroup := self._cgroup) is not None:
            until(lambda: remove_cgroup(cgroup), f"{cgroup} is empty")
        self._outer = self._cgroup = self._door = None

    def popen(
        self, *command: str, env: Mapping[str, str] | None = None, unit: str | None = None, **standard: int
    ) -> Inside:
        """Starts a command as the user, as a login shell would: in the user's home and in the cgroup of the session.

        With `unit`, in the cgroup of that service, as a process that the service had started. It ends with the
        manager at the latest. `standard` may have stdin, stdout and stderr, which are pipes else; a terminal as its
        standard input becomes its own.
        """
        cgroup = f"user@{self.uid}.service/app.slice/{unit}" if unit else "session-1.scope"
        environment = {**self._environment(), **(env or {})}
        return self._enter(*command, cgroup=cgroup, uid=self.uid, folder=self.inner_home, env=environment, **standard)

    def run(
        self,
        *command: str,
        env: Mapping[str, str] | None = None,
        unit: str | None = None,
        check: bool = True,
        timeout: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command as the user; a failing one fails the test with its output unless `check` is false."""
        return _complete(self.popen(*command, env=env, unit=unit), command, check, timeout)

    def root_run(self, *command: str, check: bool = True, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        return _complete(self._enter(*command), command, check, timeout)

    def kill(self, pid: int, sig: str = "KILL", check: bool = True) -> None:
        """`pid` as it is inside. Nothing runs under 0, which `kill` takes for its own process group."""
        assert pid > 0, f"no process to send SIG{sig} to"
        self.root_run("kill", f"-{sig}", str(pid), check=check)

    def systemctl(self, *words: str, check: bool = True, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        return self.run("systemctl", "--user", "--no-pager", *words, check=check, timeout=timeout)

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        out = self.systemctl("show", unit, *(f"--property={name}" for name in properties)).stdout
        return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)

    def ask(self, unit: str, *properties: str) -> list[str | int]:
        """What `show` says of simple ones, for those who ask often. They are read in this order, not in one moment."""
        try:
            return self._ask(unit, properties)
        except ConnectionError:  # systemd has executed itself anew since the last question
            self._forget_asked()
            return self._ask(unit, properties)

    def _ask(self, unit: str, properties: tuple[str, ...]) -> list[str | int]:
        assert self._door is not None, "the manager does not run"
        if self._asked is None:
            self._asked = asking.Systemd(self._door.connect(f"{self.runtime}/systemd/private"))
        return [self._asked.get(unit, name) for name in properties]

    def _forget_asked(self) -> None:
        if self._asked is not None:
            self._asked.close()
        self._asked = None

    def journal(self, unit: str) -> list[dict[str, Any]]:
        """What the unit's processes logged and what systemd said of it since `forget_journal`, oldest first."""
        out = self.run("journalctl", "--user", "--unit", unit, "--output=json", "--no-pager", "--quiet").stdout
        return [json.loads(line) for line in out.splitlines()][self._forgotten.get(unit, 0) :]

    def forget_journal(self, unit: str) -> None:
        self._forgotten[unit] = self._forgotten.get(unit, 0) + len(self.journal(unit))

    def messages(self, unit: str) -> list[str]:
        return [str(entry.get("MESSAGE", "")) for entry in self.journal(unit)]

    def full_log(self) -> str:
        """What the boot said, and the whole journal: for a person who looks into a failure."""
        journal = self.root_run("journalctl", "--no-pager", "--lines=300", check=False)
        return f"{self.log.read_text()}\n{journal.stdout}{journal.stderr}"

    def path(self, inner: str) -> Path:
        """A place inside, seen from outside."""
        return Path(f"/proc/{self._init}/root") / inner.lstrip("/")

    def write(self, place: str, text: str, mode: int = 0o600) -> Path:
        """Writes a file of the user's below the home and returns its path from outside."""
        path = self.home / place
        for folder in [*reversed(path.relative_to(self.home).parents)][1:]:
            (self.home / folder).mkdir(exist_ok=True)
            os.chown(self.home / folder, self.uid, self.uid)
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, self.uid, self.uid)
        return path

    def _environment(self) -> dict[str, str]:
        """What a login gives. No bus address: many setups have none, and nothing of ours may need it."""
        return {
            "HOME": self.inner_home,
            "USER": USER,
            "LOGNAME": USER,
            "SHELL": "/bin/bash",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "PATH": f"{VENV}/bin:/usr/local/bin:/usr/bin:/bin",
            "XDG_RUNTIME_DIR": self.runtime,
        }

    def _enter(
        self,
        *command: str,
        cgroup: str = "session-1.scope",
        uid: int = 0,
        folder: str = "/",
        env: Mapping[str, str] = os.environ,
        stdin: int = PIPE,
        stdout: int = PIPE,
        stderr: int = PIPE,
    ) -> Inside:
        assert self._door is not None, "the manager does not run"
        path = f"/sys/fs/cgroup/user.slice/user-{self.uid}.slice/{cgroup}"
        place = {"cgroup": path, "uid": uid, "folder": folder, "env": dict(env)}
        return self._started.enter_context(Inside(self._door, command, place, stdin, stdout, stderr))

    def _booted(self) -> bool:
        assert self._outer is not None
        if self._outer.poll() is not None:
            raise AssertionError("the namespaces ended at once")
        self._init = next(iter(_children(self._outer.pid)), 0)
        return bool(self._init) and self.path(f"{self.runtime}/systemd/private").exists()


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _complete(
    process: Inside, command: tuple[str, ...], check: bool, timeout: float
) -> subprocess.CompletedProcess[str]:
    with process:
        try:
            out, err = process.communicate(timeout)
        except BaseException:
            process.kill()
            raise
    if check and process.returncode != 0:
        raise AssertionError(f"{' '.join(command)} ended with {process.returncode}\n{out}{err}")
    return subprocess.CompletedProcess(command, process.wait(), out, err)
