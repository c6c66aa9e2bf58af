"""Files and programs that give secrets: the checks, the bounds, and what is left of a program."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.config import secretsources
from gateway.config.secretproviders import FileProvider, ProgramProvider, SecretRefused
from gateway.config.secretsources import Sources, check_command, read_private


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secrets.json"
    path.write_text('{"a": "A"}')
    path.chmod(0o600)
    return path


def ask(source: FileProvider | ProgramProvider, *ids: str, **env: str) -> Any:
    return Sources(env.get)({("p", source): list(ids)})["p", source]


def test_a_private_file_is_read_and_told_of(file: Path) -> None:
    told: list[tuple[str, bytes | None]] = []
    source = FileProvider(str(file))
    answer = Sources({}.get, lambda path, data: told.append((path, data)))({("p", source): ["/a"]})
    assert answer["p", source] == {"/a": "A"}
    assert told == [(str(file), None), (str(file), b'{"a": "A"}')]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_others_may_not_use_it(file: Path, mode: int) -> None:
    file.chmod(mode)
    refused = ask(FileProvider(str(file)), "/a")
    assert isinstance(refused, SecretRefused)
    assert (str(refused), refused.way_out) == (f"others may use {file}", f"run: chmod 600 {file}")


def test_no_link_no_second_name_no_fifo_no_folder(file: Path) -> None:
    link, second, fifo = file.with_name("link"), file.with_name("second"), file.with_name("fifo")
    link.symlink_to(file)
    os.mkfifo(fifo, 0o600)
    for place, problem in ((link, "is a link"), (fifo, "no regular file"), (file.parent, "no regular file")):
        assert problem in str(ask(FileProvider(str(place)), "/a"))
    second.hardlink_to(file)
    assert "has a second name" in str(ask(FileProvider(str(file)), "/a"))
    assert "cannot be read: No such file" in str(ask(FileProvider(str(file.with_name("absent"))), "/a"))


def test_its_size_is_bounded(file: Path) -> None:
    size = file.stat().st_size
    assert read_private(str(file), size)
    with pytest.raises(SecretRefused, match=f"larger than {size - 1} bytes"):
        read_private(str(file), size - 1)


def test_a_home_is_found(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(file.parent))
    assert ask(FileProvider("~/secrets.json"), "/a") == {"/a": "A"}


@pytest.fixture
def program(tmp_path: Path) -> Any:
    def write(text: str, **more: Any) -> ProgramProvider:
        path = tmp_path / "resolver"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o700)
        return ProgramProvider(str(path), **more)

    return write


def test_a_command_that_others_may_change_is_not_run(tmp_path: Path, program: Any) -> None:
    source = program("exit 0")
    check_command(source)
    path = Path(source.command)
    for mode in (0o720, 0o702):
        path.chmod(mode)
        with pytest.raises(SecretRefused, match="others may change"):
            check_command(source)
    path.chmod(0o700)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(SecretRefused, match="is a link"):
        check_command(ProgramProvider(str(link)))
    with pytest.raises(SecretRefused, match="is no program"):
        check_command(ProgramProvider(str(tmp_path)))
    check_command(ProgramProvider(str(path), trusted=(str(tmp_path),)))
    with pytest.raises(SecretRefused, match="trustedDirs"):
        check_command(ProgramProvider(str(path), trusted=(f"{tmp_path}-other",)))
    (trusted := tmp_path / "trusted").mkdir()
    (trusted / "way-out").symlink_to(tmp_path)
    with pytest.raises(SecretRefused, match="trustedDirs"):
        check_command(ProgramProvider(str(trusted / "way-out" / path.name), trusted=(str(trusted),)))
    if os.getuid() == 0:
        os.chown(path, 1, 1)
        with pytest.raises(SecretRefused, match="belongs to another user"):
            check_command(source)


@pytest.mark.process
def test_a_program_answers_within_all_bounds(tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOT_PASSED", "x")
    echo = """read request; test -z "$NOT_PASSED" || exit 9
        echo "{\\"protocolVersion\\":1,\\"values\\":{\\"a/b\\":\\"$ONE-$TWO-$1\\"}}" """
    source = program(echo, args=("arg; exit 3",), env=(("TWO", "2"),), pass_env=("ONE",))
    assert ask(source, "a/b", ONE="1") == {"a/b": "1-2-arg; exit 3"}
    heard = program(f"cat > {tmp_path}/heard; echo plain", json_only=False)
    assert ask(heard, "a") == {"a": "plain"}
    assert (tmp_path / "heard").read_text() == '{"protocolVersion": 1, "provider": "p", "ids": ["a"]}'
    for text, more, problem in (
        ("echo s3cret >&2; exit 4", {}, "ended with code 4"),
        ("kill -9 $$", {}, "was killed"),
        ("sleep 60", {"timeout_ms": 100}, "took too long"),
        ("while :; do echo x; sleep 0.01; done", {"timeout_ms": 200}, "took too long"),
        ("sleep 60", {"silence_ms": 100}, "took too long"),
        ("exec >&-; sleep 60", {"timeout_ms": 100}, "took too long"),
        ("cat /dev/zero", {"max_bytes": 1000}, "printed more than 1000 bytes"),
        ("echo {}", {}, "answers in another form"),
    ):
        assert problem in str(ask(program(text, **more), "a")), text
    missing = ProgramProvider(str(tmp_path / "absent"))
    assert "cannot be run: No such file" in str(ask(missing, "a"))


@pytest.mark.process
def test_nothing_of_a_program_is_left_behind(tmp_path: Path, program: Any) -> None:
    """Neither one that it has started and that holds its output, nor descriptors."""
    before = len(os.listdir("/proc/self/fd"))
    source = program(f'sleep 60 & echo $! > {tmp_path}/pid; echo "done"', json_only=False)
    assert ask(source, "a") == {"a": "done"}
    pid = int((tmp_path / "pid").read_text())
    for _ in range(500):
        if not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text():
            break
        time.sleep(0.01)
    else:
        pytest.fail("the program's child runs on")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.process
def test_all_programs_together_have_one_deadline(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secretsources, "DEADLINE_S", 0.1)
    slow = program("sleep 60", timeout_ms=20_000)
    answers = Sources({}.get)({(str(number), slow): ["a"] for number in range(9)})
    assert all("took too long" in str(each) for each in answers.values())


@pytest.mark.parametrize(("mode", "is_run"), [(0o777, False), (0o1777, True), (0o775, True)])
def test_a_command_in_a_folder_of_everybody_is_not_run(tmp_path: Path, mode: int, is_run: bool) -> None:
    (folder := tmp_path / "bin").mkdir()
    folder.chmod(mode)
    (path := folder / "vault").touch(0o700)
    if is_run:
        check_command(ProgramProvider(str(path)))
        return
    with pytest.raises(SecretRefused, match="everybody may put another program") as caught:
        check_command(ProgramProvider(str(path)))
    assert caught.value.way_out == f"run: chmod o-w {folder}"
