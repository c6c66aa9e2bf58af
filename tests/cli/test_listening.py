from pathlib import Path

import pytest

from gateway.cli.listening import Choice, choose, refuse_open_port
from gateway.errors import ConfigInvalid
from gateway.machine import container
from gateway.units import SERVICE, SOCKET, installation
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
    config(env, "{gateway: {bind: 'custom', customBindHost: '10.0.0.2', auth: {token: 't'}}}")
    assert choose(env, None, None).addresses == resolve("10.0.0.2", 18789)


def test_a_tailnet_without_an_address(env: dict[str, str]) -> None:
    config(env, "{gateway: {bind: 'tailnet', auth: {token: 't'}}}")
    choice = choose(env, None, None)
    assert choice.addresses == resolve("loopback", 18789)
    assert "name one with --bind ADDRESS" in choice.notes[0]


def test_a_config_with_errors_says_nothing_and_opens_nothing(env: dict[str, str]) -> None:
    config(env, "{gateway: {port: 'x', bind: 'lan'}}")
    choice = choose(env, None, None)
    assert choice.addresses == resolve("loopback", 18789)
    assert "has errors" in choice.notes[0]
    assert not choice.guarded


REFUSED = r"^Refusing to bind to 0\.0\.0\.0:18789, \[::\]:18789 without auth; nothing was changed.*--bind loopback"


@pytest.mark.parametrize("text", ["{gateway: {auth: {mode: 'none'}}}", "{}", "{gateway: {port: 'x'}}"])
def test_other_machines_are_let_in_only_with_a_secret(env: dict[str, str], text: str) -> None:
    config(env, text)
    refuse_open_port(choose(env, None, "loopback"))
    refuse_open_port(choose(env, None, None))
    with pytest.raises(ConfigInvalid, match=REFUSED):
        refuse_open_port(choose(env, None, "lan"))
    refuse_open_port(Choice(resolve("lan", 1), (), guarded=True, open_to=("0.0.0.0:1",)))


@pytest.mark.parametrize(
    "auth",
    [
        "{token: 't'}",
        "{password: 'p'}",
        "{mode: 'trusted-proxy', trustedProxy: {userHeader: 'x-user'}}",
    ],
)
def test_with_a_secret_or_a_proxy_they_are_let_in(env: dict[str, str], auth: str) -> None:
    config(env, f"{{gateway: {{auth: {auth}, trustedProxies: ['10.0.0.1'], bind: 'lan'}}}}")
    choice = choose(env, None, None)
    assert choice.open_to == ("0.0.0.0:18789", "[::]:18789")
    refuse_open_port(choice)


def test_a_config_that_asks_for_it_is_named_with_file_key_and_way_out(env: dict[str, str]) -> None:
    config(env, "{gateway: {bind: 'lan'}}")
    with pytest.raises(ConfigInvalid) as refusal:
        refuse_open_port(choose(env, None, None))
    told = str(refusal.value)
    assert f"{env['HOME']}/.openclaw/openclaw.json:1:11: gateway.auth.token: Refusing to bind to lan" in told
    assert "set gateway.auth.token or OPENCLAW_GATEWAY_TOKEN, or gateway.bind to loopback" in told
    refuse_open_port(choose(env, None, "loopback"))


def test_what_is_installed_already_is_refused_too(env: dict[str, str]) -> None:
    installed(env, "lan", 18789)
    with pytest.raises(ConfigInvalid, match=REFUSED):
        refuse_open_port(choose(env, None, None))


def drop_in(env: dict[str, str], unit: str, text: str) -> None:
    path = Path(env["HOME"]) / f".config/systemd/user/{unit}.d/mine.conf"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_a_secret_of_this_shell_does_not_reach_the_service_and_one_of_a_drop_in_does(env: dict[str, str]) -> None:
    with pytest.raises(ConfigInvalid, match="does not have this shell's variables"):
        refuse_open_port(choose(env | {"OPENCLAW_GATEWAY_TOKEN": "t"}, None, "lan"))
    drop_in(env, SERVICE, "[Service]\nEnvironment=OPENCLAW_GATEWAY_TOKEN=t\n")
    refuse_open_port(choose(env, None, "lan"))


def test_a_secret_in_dotenv_reaches_the_service(env: dict[str, str]) -> None:
    config(env, "{}")
    (Path(env["HOME"]) / ".openclaw/.env").write_text("OPENCLAW_GATEWAY_PASSWORD=p\n")
    refuse_open_port(choose(env, None, "lan"))


def test_a_drop_in_of_the_user_that_opens_the_port_counts(env: dict[str, str]) -> None:
    drop_in(env, SOCKET, "[Socket]\nListenStream=192.168.1.5:18789\n")
    with pytest.raises(ConfigInvalid, match="192.168.1.5:18789 without auth"):
        refuse_open_port(choose(env, None, None))


def test_auto_is_all_addresses_in_a_container_and_needs_a_secret(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "inside", lambda: True)
    config(env, "{gateway: {bind: 'auto'}}")
    with pytest.raises(ConfigInvalid, match="all addresses, as auto is in a container, without auth"):
        refuse_open_port(choose(env, None, None))
    with pytest.raises(ConfigInvalid, match="without auth"):
        refuse_open_port(choose(env, None, "auto"))
    config(env, "{gateway: {bind: 'auto', auth: {token: 't'}}}")
    assert choose(env, None, None).addresses == resolve("lan", 18789)
    monkeypatch.setattr(container, "inside", lambda: False)
    config(env, "{gateway: {bind: 'auto'}}")
    refuse_open_port(choose(env, None, None))
    assert choose(env, None, None).addresses == resolve("loopback", 18789)
