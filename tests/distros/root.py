"""A small Debian in a folder, made once and kept, and what runs in it."""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.distros import sources
from tests.e2e.machine import make_cgroup, obstacle, remove_cgroup

PROJECT = Path(__file__).parents[2]
CACHE = PROJECT / ".cache" / "distros"
ENTER = Path(__file__).with_name("enter.sh")
PLACE = "srv/openclaw-gateway"
"""Where the copy of the working tree lies inside."""
RECIPE = ("--variant=minbase", "--include=ca-certificates,make")
"""Whatever else is needed, scripts/packages.sh has to find out."""
STAMP = "etc/dpkg/dpkg.cfg.d/unsafe"
"""Written when the root is made, never changed."""
NESTED = "TESTS_DISTROS"
"""In the environment of everything inside: who runs there makes no further root."""
KEPT_DAYS = 14
"""An older root is made anew, so that sid is what sid is."""
FREE_BYTES = 4 << 30
MAKE_SECONDS = 900.0
INSTALL_SECONDS = 1200.0


class Unavailable(Exception):
    """This machine cannot do it; the text says why."""


class Root:
    """One release. Hold it (`with hold(suite) as root`) to change what is in it or to run something."""

    def __init__(self, suite: str, folder: Path) -> None:
        self.suite = suite
        self.folder = folder

    def bring(self) -> None:
        """Lays the working tree in, as it is now, and leaves what was installed for an earlier one."""
        project = self.folder / PLACE
        project.mkdir(parents=True, exist_ok=True)
        for path in project.iterdir():
            if path.name not in (".venv", ".cache"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name in _working_tree():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, project / name)

    def install(self) -> None:
        """What the tests need, by the project's own scripts; the only step that asks the network."""
        certificates = sources.certificates()
        for place in (Path("/etc/resolv.conf"), *certificates):
            copy = self.folder / place.relative_to("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            if place.exists():
                shutil.copyfile(place, copy)
        (self.folder / "etc/apt/apt.conf.d/10machine").write_text(sources.apt_options())
        options = sources.pip_options()
        lines = [f"{key} = {' '.join(value.split())}\n" for key, value in options.items()]
        (self.folder / "etc/pip.conf").write_text("".join(["[global]\n", *lines]))
        steps = (
            "scripts/packages.sh test",
            "scripts/venv.sh test",
            '.venv/bin/python -c "from tests.e2e.installation import install, interpreter; install(interpreter())"',
        )
        code = self.run(
            ("bash", "-ec", "\n".join(steps)),
            INSTALL_SECONDS,
            environment=sources.environment(),
            folders=sources.pip_folders(options),
            network=True,
        )
        if code != 0:
            raise RuntimeError(f"{self.suite}: what the tests need could not be installed (exit status {code})")

    def run(
        self,
        command: Sequence[str],
        seconds: float,
        environment: Mapping[str, str] | None = None,
        folders: Sequence[Path] = (),
        network: bool = False,
    ) -> int:
        """The exit status of a command inside, in the copy of the working tree; its output is ours."""
        inside = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "PYTHONUNBUFFERED": "1",
            NESTED: self.suite,
            **(environment or {}),
        }
        words = ["env", "-i", f"--chdir=/{PLACE}", *(f"{name}={value}" for name, value in inside.items())]
        namespaces = ["--mount", "--pid", "--ipc", "--uts", "--cgroup", *([] if network else ["--net"])]
        unshare = ["unshare", *namespaces, "--fork", "--kill-child", "bash", str(ENTER), str(self.folder), self.suite]
        cgroup = make_cgroup(0)
        enter = ["bash", "-c", 'echo $$ > "$0/cgroup.procs" && exec setpriv --pdeathsig=KILL "$@"', str(cgroup)]
        try:
            return _bounded([*enter, *unshare, *map(str, folders), "--", *words, *command], seconds)
        finally:
            _vanish(cgroup)


@contextmanager
def hold(suite: str) -> Iterator[Root]:
    """The release, made if need be; one process at a time has it. Raises `Unavailable`."""
    if NESTED in os.environ:
        raise Unavailable("runs on another release already")
    if reason := obstacle():
        raise Unavailable(reason)
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = CACHE / f"{suite}-{hashlib.sha256(' '.join(RECIPE).encode()).hexdigest()[:12]}"
        if not _is_fresh(folder):
            _renew(suite, folder)
        yield Root(suite, folder)


def _is_fresh(folder: Path) -> bool:
    stamp = folder / STAMP
    return stamp.exists() and time.time() - stamp.stat().st_mtime < KEPT_DAYS * 86400


def _renew(suite: str, folder: Path) -> None:
    """Without a package source an old one is better than none."""
    address = sources.mirror()
    if shutil.which("debootstrap") is None:
        reason: str | None = "needs debootstrap (scripts/packages.sh distros)"
    elif address is None:
        reason = "knows no package source of Debian"
    elif shutil.disk_usage(CACHE).free < FREE_BYTES:
        reason = f"needs {FREE_BYTES >> 30} GB free under {CACHE.relative_to(PROJECT)}"
    else:
        reason = sources.silence(address, suite)
    if reason is None and address is not None:
        _make(suite, folder, address)
    elif not folder.exists():
        raise Unavailable(f"{suite}: {reason}")


def _make(suite: str, folder: Path, address: str) -> None:
    """Into a folder beside, renamed when whole. Older ones of the same release go first."""
    for old in CACHE.glob(f"{suite}-*"):
        shutil.rmtree(old)
    partial = folder.with_suffix(".partial")
    # In namespaces, so that what debootstrap mounts in there is gone with it, however it ends.
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    words += ["debootstrap", *RECIPE, suite, str(partial), address]
    with (CACHE / f"{suite}.log").open("wb") as log:
        code = _bounded(["setpriv", "--pdeathsig=KILL", *words], MAKE_SECONDS, stdout=log, stderr=log)
    if code != 0:
        raise RuntimeError(f"debootstrap ended with {code}:\n{(CACHE / f'{suite}.log').read_text()[-2000:]}")
    (partial / STAMP).write_text("force-unsafe-io\n")
    (partial / "etc/hosts").write_text(f"127.0.0.1 localhost {suite}\n::1 localhost\n")
    shutil.rmtree(partial / "var/cache/apt/archives", ignore_errors=True)
    partial.rename(folder)


def _bounded(command: Sequence[str], seconds: float, **options: object) -> int:
    """Its exit status; 124 when time is up, as `timeout` says it."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    try:
        return int(process.wait(seconds))
    except subprocess.TimeoutExpired:
        print(f"{command[-1]}: not done within {seconds:g} s")
        return 124
    finally:
        # With it end the namespaces, and with them whatever still runs in there.
        process.send_signal(signal.SIGKILL)
        process.wait()


def _vanish(cgroup: Path) -> None:
    for _ in range(500):
        if remove_cgroup(cgroup):
            return
        time.sleep(0.02)
    print(f"{cgroup} is not empty")


def _working_tree() -> list[str]:
    """Files that git has or would have; what this machine built stays here."""
    listed = ["git", "-C", str(PROJECT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable("needs git and a checkout, to copy what belongs to the project") from error
    return [name for name in names if name and (PROJECT / name).is_file()]
