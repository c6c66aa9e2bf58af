from pathlib import Path

import pytest

from gateway.cli.listening import Choice, choose, refuse_open_port
from gateway.errors import ConfigInvalid
from gateway.units import installation
from gateway.units.addresses import resolve


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    return {"HOME": str(home)}


def config(env: dict[str, str], text: str) -> None:
    path = Path(env["HOME"]) / ".openclaw/openclaw.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def installed(env: dict[str, str], bind: str, port: int) -> None:
    installation.plan(env, resolve(bind, port)).apply()


def test_nothing_said_anywhere(env: dict[str, str]) -> None:
    assert choose(env, None, None).addresses == resolve("loopback", 18789)


def test_the_config_says(env: dict[str, str]) -> None:
    config(env, "{gateway: {port: 19000, bind: 'lan', auth: {token: 't'}}}")
    assert choose(env, None, None).addresses == resolve("lan", 19000)


def test_an_option_wins_and_the_difference_is_named(env: dict[str, str]) -> None:
    config(env, "{gateway: {port: 19000}}")
    choice = choose(env, 19001, "10.0.0.1")
    assert choice.addresses == resolve("10.0.0.1", 19001)
    assert "config set gateway.port 19001" in choice.notes[0]


def test_the_environment_wins_over_the_config(env: dict[str, str]) -> None:
    config(env, "{gateway: {port: 19000}}")
    assert choose({**env, "OPENCLAW_GATEWAY_PORT": "19002"}, None, None).addresses[0].port == 19002


def test_what_an_earlier_install_chose_stays(env: dict[str, str]) -> None:
    installed(env, "lan", 19003)
    assert choose(env, None, None).addresses == resolve("lan", 19003)
    assert choose(env, 19004, None).addresses == resolve("lan", 19004)
    assert choose(env, None, "loopback").addresses == resolve("loopback", 19003)
    assert choose(env, None, None, replaced_port=5).addresses == resolve("lan", 19003)


def test_the_port_of_a_replaced_unit(env: dict[str, str]) -> None:
    assert choose(env, None, None, replaced_port=18801).addresses == resolve("loopback", 18801)


def test_a_custom_address(env: dict[str, str]) -> None:
    config(env, "{gateway: {bind: 'custom', customBindHost: '10.0.0.2'}}")
    assert choose(env, None, None).addresses == resolve("10.0.0.2", 18789)


def test_a_tailnet_without_an_address(env: dict[str, str]) -> None:
    config(env, "{gateway: {bind: 'tailnet'}}")
    choice = choose(env, None, None)
    assert choice.addresses == resolve("loopback", 18789)
    assert "name one with --bind ADDRESS" in choice.notes[0]


def test_a_config_with_errors_says_nothing_and_opens_nothing(env: dict[str, str]) -> None:
    config(env, "{gateway: {port: 'x', bind: 'lan'}}")
    choice = choose(env, None, None)
    assert choice.addresses == resolve("loopback", 18789)
    assert "has errors" in choice.notes[0]
    assert not choice.guarded


def test_other_machines_are_let_in_only_with_a_secret(env: dict[str, str]) -> None:
    config(env, "{gateway: {auth: {mode: 'none'}}}")
    refuse_open_port(choose(env, None, "loopback"))
    with pytest.raises(ConfigInvalid, match=r"0\.0\.0\.0:18789, \[::\]:18789 without authentication.*--bind loopback"):
        refuse_open_port(choose(env, None, "lan"))
    refuse_open_port(Choice(resolve("lan", 1), (), guarded=True))
