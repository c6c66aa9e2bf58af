from gateway.units import AGENT_SERVICE, MARK, SERVICE, SOCKET
from gateway.units.addresses import resolve
from gateway.units.installation import listening, shipped_addresses
from gateway.units.render import listen, service, unchanged
from gateway.units.syntax import environment, merged


def test_the_drop_in_replaces_the_shipped_addresses() -> None:
    text = listen(resolve("lan", 19000))
    assert text.startswith(MARK)
    assert listening([unchanged(SOCKET), text]) == resolve("lan", 19000)
    assert listening([unchanged(SOCKET)]) == shipped_addresses() == resolve("loopback", 18789)


def test_variables_go_into_the_service() -> None:
    text = service(SERVICE, ("/x/openclaw-gateway",), {"OPENCLAW_STATE_DIR": "/srv/a b"})
    assert environment(text)["OPENCLAW_STATE_DIR"] == "/srv/a b"
    assert environment(text)["PYTHONUNBUFFERED"] == "1"


def test_a_command_of_several_words() -> None:
    text = service(SERVICE, ("/usr/bin/python3", "-P", "-m", "gateway"), {})
    assert merged([text], "Service", "ExecStart") == ["/usr/bin/python3 -P -m gateway run"]


def test_each_service_gets_its_own_command_and_says_how_to_change_it() -> None:
    text = service(AGENT_SERVICE, ("/x/openclaw-agent",), {})
    assert merged([text], "Service", "ExecStart") == ["/x/openclaw-agent"]
    assert f"systemctl --user edit {AGENT_SERVICE}\n" in text
