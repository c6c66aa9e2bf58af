from collections.abc import Callable
from pathlib import Path

import click
import pytest

from gateway.cli.target import Target, find_target, split, with_scheme
from gateway.config import files, lastgood

Write = Callable[[str], None]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "OPENCLAW_STATE_DIR": str(tmp_path)}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> None:
        (tmp_path / "openclaw.json").write_text(text)

    return write


def test_nothing_is_configured(env: dict[str, str]) -> None:
    assert find_target(env) == Target("ws://127.0.0.1:18789", None, None)


def test_the_generated_token_is_found(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "token").write_text("generated\n")
    assert find_target(env).token == "generated"
    assert find_target(env | {"OPENCLAW_GATEWAY_TOKEN": "mine"}).token == "mine"


def test_port_and_secret_of_the_config(env: dict[str, str], write: Write) -> None:
    write("{gateway: {port: 18800, auth: {token: 'a', password: 'b'}}}")
    assert find_target(env) == Target("ws://127.0.0.1:18800", "a", "b")
    assert find_target(env, token="mine") == Target("ws://127.0.0.1:18800", "mine", None)
    assert find_target(env, password="mine") == Target("ws://127.0.0.1:18800", None, "mine")
    assert find_target(env | {"OPENCLAW_GATEWAY_PORT": "18801"}).url == "ws://127.0.0.1:18801"


@pytest.mark.parametrize(("host", "url"), [("10.1.1.1", "ws://10.1.1.1:18789"), ("fd00::1", "ws://[fd00::1]:18789")])
def test_a_custom_address(env: dict[str, str], write: Write, host: str, url: str) -> None:
    write(f"{{gateway: {{bind: 'custom', customBindHost: '{host}', auth: {{token: 'a'}}}}}}")
    assert find_target(env).url == url


def test_a_broken_config_means_the_last_good_one(env: dict[str, str], write: Write, tmp_path: Path) -> None:
    write("{gateway: {port: 18800, auth: {token: 'a'}}}")
    lastgood.save(tmp_path, files.read(tmp_path / "openclaw.json", env, tmp_path))
    write("{gateway: {port: }}")
    assert find_target(env) == Target("ws://127.0.0.1:18800", "a", None)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("ws://127.0.0.1:5", True),
        ("ws://[::1]:5", True),
        ("ws://localhost:5", True),
        ("ws://10.0.0.1:5", False),
        ("wss://gateway.example", False),
        ("ws://127.0.0.1.example", False),
    ],
)
def test_a_local_secret_stays_on_this_machine(env: dict[str, str], write: Write, url: str, sent: bool) -> None:
    write("{gateway: {auth: {token: 'a'}}}")
    assert find_target(env, url) == Target(url, "a" if sent else None, None)
    assert find_target(env | {"OPENCLAW_GATEWAY_URL": url}) == Target(url, "a" if sent else None, None)


def test_what_the_environment_says_is_sent_anywhere(env: dict[str, str]) -> None:
    env |= {"OPENCLAW_GATEWAY_TOKEN": "t", "OPENCLAW_GATEWAY_PASSWORD": "p"}
    assert find_target(env, "wss://gateway.example") == Target("wss://gateway.example", "t", "p")


@pytest.mark.parametrize("url", ["", "localhost:18789", "ftp://x", "ws://", "ws://h:99999", "ws://[", "ws://h:0"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(click.UsageError, match="one looks like ws://"):
        split(url)


def test_schemes_are_exchanged() -> None:
    assert with_scheme("ws://[::1]:5/x", {"ws": "http"}) == "http://[::1]:5/x"
    assert with_scheme("wss://h", {"ws": "http", "wss": "https"}) == "https://h"
    assert with_scheme("http://h", {"ws": "http"}) == "http://h"


def test_a_secret_does_not_show() -> None:
    assert "s3cret" not in repr(Target("ws://h", "s3cret", "s3cret"))
