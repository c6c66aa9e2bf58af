import subprocess
from collections.abc import Mapping, Sequence

import pytest

from gateway.units.systemctl import JobResult, NoManager, Systemctl, SystemctlFailed, enable_linger


class Prepared:
    """Answers commands with what was prepared, and remembers them."""

    def __init__(self, *outcomes: JobResult | Exception) -> None:
        self.outcomes = list(outcomes)
        self.commands: list[Sequence[str]] = []
        self.env: Mapping[str, str] = {}

    def __call__(self, words: Sequence[str], env: Mapping[str, str], limit: float) -> JobResult:
        self.commands.append(words)
        self.env = env
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.mark.parametrize(
    ("told", "version"),
    [("252.39-1~deb12u2", 252), ("257", 257), ("258~rc1", 258), ("v1", None), ("255-2.el9", 255)],
)
def test_the_version(told: str, version: int | None) -> None:
    assert Systemctl({}, Prepared(JobResult(0, f"Version={told}\n", ""))).version() == version


def test_no_manager_is_no_version() -> None:
    assert Systemctl({}, Prepared(JobResult(1, "", "Failed to connect to bus"))).version() is None
    assert Systemctl({}, Prepared(FileNotFoundError())).version() is None


def test_the_runtime_folder_is_filled_in_and_the_users_own_wins() -> None:
    run = Prepared(JobResult(0, "", ""), JobResult(0, "", ""))
    Systemctl({}, run).version()
    assert run.env["XDG_RUNTIME_DIR"].startswith("/run/user/")
    Systemctl({"XDG_RUNTIME_DIR": "/x"}, run).version()
    assert run.env["XDG_RUNTIME_DIR"] == "/x"


def test_properties_given_several_times() -> None:
    run = Prepared(JobResult(0, "Listen=1 (Stream)\nListen=2 (Stream)\nResult=a=b\nnoise\n", ""))
    assert Systemctl({}, run).show("x.socket", "Listen", "Result") == {
        "Listen": "1 (Stream)\n2 (Stream)",
        "Result": "a=b",
    }
    assert run.commands[0][-3:] == ["show", "x.socket", "--property=Listen,Result"]


def test_show_without_a_manager_says_the_way_out() -> None:
    with pytest.raises(NoManager, match="Failed to connect.*enable-linger"):
        Systemctl({}, Prepared(JobResult(1, "", "Failed to connect to bus\n"))).show("x.service", "Id")


def test_a_refused_verb_carries_systemds_words() -> None:
    with pytest.raises(SystemctlFailed, match="start x.service: Unit x.service not found"):
        Systemctl({}, Prepared(JobResult(5, "", "Unit x.service not found.\n"))).do("start", "x.service")
    with pytest.raises(SystemctlFailed, match="exit code 4"):
        Systemctl({}, Prepared(JobResult(4, "", ""))).do("start", "x.service")


def test_a_manager_that_does_not_answer() -> None:
    with pytest.raises(SystemctlFailed, match="no answer within 120 s"):
        Systemctl({}, Prepared(subprocess.TimeoutExpired("systemctl", 1))).do("start", "x.service")


def test_lingering_says_why_not() -> None:
    env = {"PATH": "/nowhere"}
    assert enable_linger(env, "u", Prepared()) == "there is no loginctl here"


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (JobResult(0, "", ""), None),
        (JobResult(1, "", "Access denied\nmore"), "Access denied"),
        (JobResult(1, "", ""), "loginctl ended with 1"),
        (OSError("no"), "no"),
    ],
)
def test_lingering(outcome: JobResult | Exception, reason: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: "/bin/loginctl")
    assert enable_linger({}, "u", Prepared(outcome)) == reason
