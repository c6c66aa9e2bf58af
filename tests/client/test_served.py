"""Commands in a shell that has not what the service has."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.config import config
from gateway.cli.target import Target, find_target
from gateway.client.control import Control
from gateway.client.served import SHELL
from gateway.config import files
from gateway.config.schema import Config
from gateway.errors import NotRunning
from gateway.exits import ExitCode
from gateway.reload.answers import AccessPoint, SeenConfig
from gateway.reload.plan import make_plan
from tests.fakes.report import make_report

TEXT = '{"gateway": {"port": 18801, "auth": {"token": "${ONLY_THE_UNIT_HAS_IT}"}}}'
UNIT = {"ONLY_THE_UNIT_HAS_IT": "of-the-unit"}


class Service:
    """The control socket's side of a gateway with more variables than the shell."""

    def status(self, timeout: float = 1.0) -> Any:
        return make_report(pid=42, unit="openclaw-gateway.service")

    def config(self, path: str, text: str | None, included: dict[str, str]) -> SeenConfig:
        found = files.read(Path(path), UNIT, text=text, included=included)
        plan = make_plan({}, found.tree, Config(), found.config, "hybrid", True) if found.config else None
        return SeenConfig(found.config is not None, found.issues, found.warnings, found.unused, plan)

    def access_point(self) -> AccessPoint:
        return AccessPoint(18801, "of-the-unit")


class Nobody:
    def status(self, timeout: float = 1.0) -> Any:
        raise NotRunning("nobody")

    config = access_point = status


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    (tmp_path / "openclaw.json").write_text(TEXT)
    (tmp_path / "openclaw.json").chmod(0o600)
    env = {"HOME": str(tmp_path), "OPENCLAW_STATE_DIR": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    for name in ("OPENCLAW_CONFIG_PATH", "OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PORT"):
        monkeypatch.delenv(name, raising=False)
    return env


@pytest.fixture
def service(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(Control, "from_env", classmethod(lambda cls, env: Service()))
    return env


@pytest.fixture
def nobody(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(Control, "from_env", classmethod(lambda cls, env: Nobody()))
    return env


def call(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(config, words)
    return result.exit_code, result.output + (str(result.exception) if result.exception else "")


def test_what_the_service_has_is_no_error(service: dict[str, str], tmp_path: Path) -> None:
    code, output = call("check")
    assert code == ExitCode.OK and "error" not in output
    assert "environment of the running gateway (openclaw-gateway.service, pid 42)" in output
    assert '"environment": "service"' in call("check", "--json")[1]
    draft = tmp_path / "draft.json"
    draft.write_text(TEXT.replace("ONLY_", "NOT_EVEN_"))
    draft.chmod(0o600)
    code, output = call("check", str(draft))
    assert code == ExitCode.CONFIG_INVALID and "NOT_EVEN_THE_UNIT_HAS_IT is not set" in output and "pid 42" in output


def test_without_a_service_it_says_where_it_has_looked(nobody: dict[str, str]) -> None:
    code, output = call("check")
    assert code == ExitCode.CONFIG_INVALID and SHELL in output and "ONLY_THE_UNIT_HAS_IT is not set" in output
    assert '"environment": "shell"' in call("check", "--json")[1]


def test_plan_and_set_go_by_the_service(service: dict[str, str], tmp_path: Path) -> None:
    code, output = call("plan", str(tmp_path / "openclaw.json"))
    assert code == ExitCode.OK and "gateway.auth.token: applied hot" in output
    code, output = call("set", "gateway.reload.debounceMs", "10")
    assert code == ExitCode.OK and "saved" in output
    assert "debounceMs" in (tmp_path / "openclaw.json").read_text()


def test_set_without_a_service_writes_nothing(nobody: dict[str, str], tmp_path: Path) -> None:
    assert "nothing was written" in call("set", "gateway.reload.debounceMs", "10")[1]
    assert (tmp_path / "openclaw.json").read_text() == TEXT


def test_commands_connect_with_what_the_service_has(service: dict[str, str]) -> None:
    assert find_target(service) == Target("ws://127.0.0.1:18801", "of-the-unit", None)
    assert find_target(service, url="ws://127.0.0.1:5").url == "ws://127.0.0.1:5"
    assert find_target(service, url="wss://gateway.example").token is None
    assert find_target(service, token="mine") == Target("ws://127.0.0.1:18801", "mine", None)


def test_and_without_one_with_what_there_is(nobody: dict[str, str]) -> None:
    assert find_target(nobody) == Target("ws://127.0.0.1:18789", None, None)
