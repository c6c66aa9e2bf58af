"""Every way of saving that an editor has, with its own system calls, and the ways in which a watch can be lost."""

import errno
import logging
import os
import queue
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.observers.api import BaseObserver

from gateway.config.watch import Watch
from tests.slack import slack

PROMPT_S = 0.25
"""An edit has to be told within this; typically it takes a few milliseconds. watchdog's own delay would be 0.5 s."""
PATIENCE_S = 20.0
"""On a machine that has other things to do."""
NEVER_S = 600.0
"""For the slow look, where a test is to show that inotify alone tells."""


class Calls:
    """Counts calls, and waits for one without sleeping."""

    def __init__(self) -> None:
        self.queue: queue.Queue[float] = queue.Queue()

    def __call__(self) -> None:
        self.queue.put(time.monotonic())

    def expect(self, timeout: float = PATIENCE_S) -> None:
        try:
            self.queue.get(timeout=timeout)
        except queue.Empty:
            pytest.fail(f"the edit was not told within {timeout} s")

    def drain(self, quiet: float = 0.05) -> None:
        while True:
            try:
                self.queue.get(timeout=quiet)
            except queue.Empty:
                return


Start = Callable[..., tuple[Watch, Calls]]


@pytest.fixture
def start() -> Iterator[Start]:
    watches = []

    def begin(*files: Path, poll_s: float = NEVER_S, force_polling: bool = False) -> tuple[Watch, Calls]:
        calls = Calls()
        watch = Watch(files, calls, poll_s=poll_s, force_polling=force_polling)
        watch.start()
        watches.append(watch)
        return watch, calls

    yield begin
    for watch in watches:
        watch.stop()
        assert watch.mode == "off"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "openclaw.json"
    file.write_text("{}\n")
    return file


def save(path: Path, text: str = '{"a":1}\n', flags: int = os.O_TRUNC | os.O_CREAT) -> None:
    fd = os.open(path, os.O_WRONLY | flags, 0o600)
    os.write(fd, text.encode())
    os.fsync(fd)
    os.close(fd)


def vim_default(path: Path) -> None:
    probe, backup = path.with_name("4913"), path.with_name(path.name + "~")
    os.close(os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644))
    os.unlink(probe)
    os.rename(path, backup)
    save(path)
    os.chmod(path, 0o600)
    os.unlink(backup)


def vim_backupcopy_yes(path: Path) -> None:
    backup = path.with_name(path.name + "~")
    shutil.copyfile(path, backup)
    save(path, flags=os.O_TRUNC)
    os.unlink(backup)


def truncate_and_write(path: Path) -> None:
    save(path, flags=os.O_TRUNC)


def sed_in_place(path: Path) -> None:
    temporary = path.with_name("sedAbCdEf")
    save(temporary, flags=os.O_CREAT | os.O_EXCL)
    os.rename(temporary, path)


def mv_from_elsewhere(path: Path) -> None:
    folder = path.parent / "elsewhere"
    folder.mkdir()
    save(folder / "new")
    os.rename(folder / "new", path)


def emacs(path: Path) -> None:
    lock = path.with_name(".#" + path.name)
    os.symlink("user@host.1:1", lock)
    os.rename(path, path.with_name(path.name + "~"))
    save(path, flags=os.O_CREAT | os.O_EXCL)
    os.unlink(lock)


def atomic_save(path: Path) -> None:
    temporary = path.with_name(f"{path.name}.1.abc.tmp")
    save(temporary, flags=os.O_CREAT | os.O_EXCL)
    os.replace(temporary, path)


def append_without_closing(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(fd, b" ")
    os.close(os.dup(fd))
    os.close(fd)


def truncate_only(path: Path) -> None:
    os.truncate(path, 0)


def make_readable_again(path: Path) -> None:
    os.chmod(path, 0o640)


EDITORS = [
    vim_default,
    vim_backupcopy_yes,
    pytest.param(truncate_and_write, id="nano, VS Code"),
    sed_in_place,
    mv_from_elsewhere,
    emacs,
    atomic_save,
    append_without_closing,
    truncate_only,
    make_readable_again,
]


@pytest.mark.parametrize("edit", EDITORS)
def test_a_save_is_told_at_once(edit: Callable[[Path], None], config: Path, start: Start) -> None:
    watch, calls = start(config)
    assert watch.mode == "inotify"
    edit(config)
    calls.expect()


@pytest.mark.parametrize("edit", EDITORS)
def test_a_save_is_told_twice_in_a_row(edit: Callable[[Path], None], config: Path, start: Start) -> None:
    """The watch survives each way of saving: the file is another one after most of them."""
    _, calls = start(config)
    edit(config)
    calls.drain()
    shutil.rmtree(config.parent / "elsewhere", ignore_errors=True)
    if edit is make_readable_again:
        os.chmod(config, 0o600)
    else:
        config.with_name(config.name + "~").unlink(missing_ok=True)
        save(config, "longer than before")
        calls.drain()
        edit(config)
    calls.expect()


@pytest.mark.serial
def test_it_is_told_sooner_than_watchdog_would(config: Path, start: Start) -> None:
    _, calls = start(config)
    save(config, "longer than before")
    calls.expect(slack(PROMPT_S))


@pytest.mark.parametrize("edit", EDITORS)
def test_polling_finds_it_too(edit: Callable[[Path], None], config: Path, start: Start) -> None:
    watch, calls = start(config, poll_s=0.01, force_polling=True)
    assert watch.mode == "polling"
    edit(config)
    calls.expect()


def test_the_last_save_of_a_burst_is_told_after_it_is_complete(config: Path, start: Start) -> None:
    """Whoever reads when told last reads the last version."""
    _, calls = start(config)
    for number in range(20):
        save(config, str(number))
    done = time.monotonic()
    told = 0.0
    while told < done:
        try:
            told = calls.queue.get(timeout=PROMPT_S)
        except queue.Empty:
            break
    assert told, "no call at all"
    assert config.read_text() == "19"


def real(program: str, command: list[str], path: Path) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed here")
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, cwd=path.parent)


@pytest.mark.process
@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("vim", ["vim", "-u", "NONE", "-es", "-c", "normal! Ox", "-c", "wq", "openclaw.json"]),
        (
            "vim",
            ["vim", "-u", "NONE", "-es", "-c", "set backupcopy=yes", "-c", "normal! Ox", "-c", "wq", "openclaw.json"],
        ),
        (
            "vim",
            ["vim", "-u", "NONE", "-es", "-c", "set backupcopy=no", "-c", "normal! Ox", "-c", "wq", "openclaw.json"],
        ),
        ("sed", ["sed", "-i", "s/{}/{ }/", "openclaw.json"]),
        ("mv", ["sh", "-c", "echo 1 > new && mv new openclaw.json"]),
        ("cp", ["sh", "-c", "echo 1 > new && cp new openclaw.json"]),
        ("ln", ["sh", "-c", "echo 1 > new && ln -sfn new openclaw.json"]),
        ("emacs", ["emacs", "-Q", "--batch", "openclaw.json", "--eval", '(progn (insert "x") (save-buffer))']),
    ],
    ids=["vim", "vim-backupcopy-yes", "vim-backupcopy-no", "sed", "mv", "cp", "ln", "emacs"],
)
def test_the_real_program(program: str, command: list[str], config: Path, start: Start) -> None:
    _, calls = start(config)
    real(program, command, config)
    calls.expect()


@pytest.mark.process
def test_the_real_nano(config: Path, start: Start) -> None:
    if shutil.which("nano") is None or shutil.which("script") is None:
        pytest.skip("nano needs a terminal, which script (util-linux) gives; one of them is not installed here")
    _, calls = start(config)
    with subprocess.Popen(
        ["script", "-qec", f"nano -I {config}", "/dev/null"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TERM": "xterm"},
    ) as nano:
        assert nano.stdin and nano.stdout
        assert nano.stdout.read(1)  # it draws its screen: it is ready for keys
        nano.stdin.write(b"x\x0f\r\x18")  # insert, write out, confirm the name, exit
        nano.stdin.flush()
        nano.stdout.read()
        assert nano.wait(timeout=20) == 0
    assert config.read_text().startswith("x")
    calls.expect()


def test_reading_is_no_edit(config: Path, start: Start) -> None:
    _, calls = start(config, poll_s=0.01)
    for _ in range(5):
        config.read_text()
    assert calls.queue.empty()
    save(config)
    calls.expect()


def test_a_neighbour_is_no_edit(config: Path, start: Start) -> None:
    _, calls = start(config)
    save(config.with_name("openclaw.json.bak"))
    save(config.with_name("other"))
    with pytest.raises(queue.Empty):
        calls.queue.get(timeout=0.1)


def test_the_slow_look_does_not_tell_again_what_inotify_told(config: Path, start: Start) -> None:
    _, calls = start(config, poll_s=0.02)
    save(config)
    calls.expect()
    calls.drain(quiet=0.1)
    with pytest.raises(queue.Empty):
        calls.queue.get(timeout=0.2)


# links


def switch(link: Path, target: str) -> None:
    """`ln -sfn`: a new link under another name, renamed over."""
    temporary = link.with_name("cuAbCdEf")
    os.symlink(target, temporary)
    os.rename(temporary, link)


@pytest.fixture
def linked(tmp_path: Path) -> tuple[Path, Path]:
    """(link, target), in different folders."""
    for name in ("conf", "store"):
        (tmp_path / name).mkdir()
    target = tmp_path / "store" / "v1.json"
    target.write_text("{}")
    link = tmp_path / "conf" / "openclaw.json"
    link.symlink_to("../store/v1.json")
    return link, target


@pytest.mark.parametrize("edit", [vim_default, truncate_and_write, sed_in_place, atomic_save])
def test_an_edit_of_the_target_of_a_link(edit: Callable[[Path], None], linked: tuple[Path, Path], start: Start) -> None:
    link, target = linked
    _, calls = start(link)
    edit(target)
    calls.expect()


def test_a_switched_link_and_then_an_edit_of_the_new_target(linked: tuple[Path, Path], start: Start) -> None:
    link, target = linked
    _, calls = start(link)
    other = target.parent.parent / "other"
    other.mkdir()
    (other / "v2.json").write_text("{ }")
    switch(link, "../other/v2.json")
    calls.expect()
    calls.drain()
    save(other / "v2.json")
    calls.expect()


def test_kubernetes_switches_the_data_link(tmp_path: Path, start: Start) -> None:
    """A mounted ConfigMap: openclaw.json → ..data/openclaw.json, ..data → ..2024_1; an update switches ..data."""

    def version(number: int, text: str) -> str:
        folder = tmp_path / f"..2024_{number}"
        folder.mkdir()
        (folder / "openclaw.json").write_text(text)
        return folder.name

    (tmp_path / "..data").symlink_to(version(1, "{}"))
    config = tmp_path / "openclaw.json"
    config.symlink_to("..data/openclaw.json")
    _, calls = start(config)
    for number in (2, 3):
        target = version(number, f'{{"n":{number}}}')
        calls.drain()
        switch(tmp_path / "..data", target)
        calls.expect()
        shutil.rmtree(tmp_path / f"..2024_{number - 1}")
        calls.drain()


def test_an_included_file_after_retarget(config: Path, start: Start, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    included = tmp_path / "parts" / "auth.json5"
    included.write_text("{}")
    watch, calls = start(config)
    watch.retarget([config, included])
    save(included)
    calls.expect()


def test_a_file_that_is_included_no_more_after_retarget(config: Path, start: Start, tmp_path: Path) -> None:
    included = tmp_path / "auth.json5"
    included.write_text("{}")
    watch, calls = start(config, included)
    watch.retarget([config])
    save(included, "again")
    with pytest.raises(queue.Empty):
        calls.queue.get(timeout=0.1)


# folders that come and go


def test_a_folder_that_does_not_exist_yet(tmp_path: Path, start: Start) -> None:
    config = tmp_path / "home" / ".openclaw" / "openclaw.json"
    _, calls = start(config, poll_s=0.05)
    config.parent.mkdir(parents=True)
    save(config)
    calls.expect()
    calls.drain(quiet=0.2)
    save(config, "inotify has it by now")
    calls.expect()


@pytest.mark.parametrize("leave", [shutil.rmtree, lambda folder: folder.rename(folder.with_name("moved"))])
def test_a_folder_made_anew_is_watched_again(leave: Callable[[Path], None], tmp_path: Path, start: Start) -> None:
    config = tmp_path / "state" / "openclaw.json"
    config.parent.mkdir()
    config.write_text("{}")
    watch, calls = start(config, poll_s=0.05)
    for _ in range(2):
        leave(config.parent)
        calls.expect()
        calls.drain(quiet=0.2)
        config.parent.mkdir()
        save(config)
        calls.expect()
        calls.drain(quiet=0.2)
        shutil.rmtree(tmp_path / "moved", ignore_errors=True)
    assert watch.mode == "inotify"
    save(config, "and inotify has it")
    calls.expect()


def test_a_file_moved_away_is_found_by_the_slow_look(config: Path, start: Start) -> None:
    _, calls = start(config, poll_s=0.02)
    config.rename(config.with_name("old"))
    calls.expect()


# limits


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOSPC, errno.ENOSYS])
def test_without_inotify_it_polls_and_says_so_once(
    number: int, config: Path, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(BaseObserver, "schedule", refuse)
    with caplog.at_level(logging.WARNING, "gateway.config"):
        watch, calls = start(config, poll_s=0.01)
        assert watch.mode == "polling"
        save(config)
        calls.expect()
        watch.retarget([config, config.with_name("more")])
        save(config.with_name("more"))
        calls.expect()
    assert [record.message for record in caplog.records] == [
        f"inotify is not to be had ([Errno {number}] {os.strerror(number)}); looking at the config every 0.01 s instead"
    ]


IN_ITS_OWN_NAMESPACE = """
import os, pathlib, sys, threading, logging
file, outside = pathlib.Path(sys.argv[1]), sys.argv[2]
# Never fs.inotify.*, which is the machine's limit from inside a namespace too.
if os.readlink("/proc/self/ns/user") == outside:
    sys.exit("no namespace of its own")
pathlib.Path("/proc/sys/user/max_inotify_instances").write_text("0")
logging.basicConfig()
from gateway.config.watch import Watch
seen = threading.Event()
watch = Watch([file], seen.set, poll_s=0.01)
watch.start()
print(watch.mode)
file.write_text("x")
print(seen.wait(5))
watch.stop()
"""


@pytest.mark.process
def test_the_real_limit_of_inotify_instances(config: Path) -> None:
    """In a user namespace of its own, whose limit is nobody else's."""
    machine = Path("/proc/sys/fs/inotify/max_user_instances").read_text()
    outside = os.readlink("/proc/self/ns/user")
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", IN_ITS_OWN_NAMESPACE, str(config), outside]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
    assert Path("/proc/sys/fs/inotify/max_user_instances").read_text() == machine
    if done.returncode and any(word in done.stderr for word in ("unshare", "namespace", "Permission", "Read-only")):
        pytest.skip(f"no user namespace with its own inotify limit here: {done.stderr.strip().splitlines()[-1]}")
    assert done.stdout.split() == ["polling", "True"], done.stderr
    assert done.stderr.count("inotify is not to be had") == 1


def test_no_inotify_descriptor_survives_an_exec(config: Path, start: Start) -> None:
    start(config)
    descriptors = [
        int(name)
        for name in os.listdir("/proc/self/fd")
        if os.path.islink(f"/proc/self/fd/{name}") and os.readlink(f"/proc/self/fd/{name}") == "anon_inode:inotify"
    ]
    assert descriptors and not any(os.get_inheritable(fd) for fd in descriptors)


def test_stop_leaves_no_thread_and_no_call(config: Path) -> None:
    calls = Calls()
    watch = Watch([config], calls)
    assert watch.mode == "off"
    watch.start()
    watch.stop()
    save(config)
    with pytest.raises(queue.Empty):
        calls.queue.get(timeout=0.1)
    assert watch.mode == "off"
