"""What is written where namespaces can be made, and where they cannot."""

from pathlib import Path

import pytest

from gateway.units import MARK, SANDBOX_DROP_IN
from gateway.units.sandbox import FAILED, NEVER_TRIED, find_refusal, refusal_on_disk, text
from gateway.units.syntax import merged, parse
from gateway.units.systemctl import JobResult, Systemctl
from tests.units.test_systemctl import Prepared

PROGRAM = ("/opt/x/bin/openclaw-gateway",)


def put(folder: Path, content: str) -> None:
    (folder / SANDBOX_DROP_IN).parent.mkdir(parents=True, exist_ok=True)
    (folder / SANDBOX_DROP_IN).write_text(content)


def test_it_is_tried_with_every_line_and_with_the_program_itself(tmp_path: Path) -> None:
    run = Prepared(JobResult(0, "", ""))
    assert find_refusal(Systemctl({}, run), tmp_path, {"HOME": "/home/a b"}, PROGRAM) is None
    (command,) = run.commands
    assert command[:2] == ["systemd-run", "--user"]
    assert command[-3:] == ["--", *PROGRAM, "--version"]
    tried = [word.removeprefix("--property=").split("=")[0] for word in command if word.startswith("--property=")]
    assert tried[2:] == [setting.key for setting in parse(text(None))]
    # A transient unit knows no specifiers, so they are filled in.
    assert not any("%" in word for word in command)
    assert any('"-/home/a b/.ssh"' in word for word in command)


@pytest.mark.parametrize("outcome", [JobResult(1, "", ""), FileNotFoundError()])
def test_what_does_not_work_is_not_written(tmp_path: Path, outcome: JobResult | Exception) -> None:
    refusal = find_refusal(Systemctl({}, Prepared(outcome)), tmp_path, {"HOME": "/h"}, PROGRAM)
    assert refusal == FAILED
    assert parse(text(refusal)) == []
    put(tmp_path, text(refusal))
    assert refusal_on_disk(tmp_path) == FAILED


def test_without_a_manager_what_an_earlier_one_found_stands(tmp_path: Path) -> None:
    assert find_refusal(None, tmp_path, {}, PROGRAM) == NEVER_TRIED
    put(tmp_path, text(FAILED))
    assert find_refusal(None, tmp_path, {}, PROGRAM) == FAILED
    put(tmp_path, text(None))
    assert find_refusal(None, tmp_path, {}, PROGRAM) is None


def test_both_are_ours_to_change_and_to_remove() -> None:
    assert text(None).startswith(MARK)
    assert text(FAILED).startswith(MARK)
    assert merged([text(None)], "Service", "PrivateUsers") == ["yes"]


def test_without_a_home_nothing_in_it_is_tried(tmp_path: Path) -> None:
    run = Prepared(JobResult(0, "", ""))
    find_refusal(Systemctl({}, run), tmp_path, {}, PROGRAM)
    assert not any("InaccessiblePaths" in word for word in run.commands[0])
