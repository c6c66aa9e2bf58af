import os
import socket
from collections.abc import Iterator

import pytest

from gateway.errors import PortBusy
from gateway.machine import container
from gateway.machine.listeners import address_text, bind_listeners, hosts_of


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def test_addresses_of_each_bind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "inside", lambda: True)
    assert hosts_of("auto", None) == ("0.0.0.0", "::")
    monkeypatch.setattr(container, "inside", lambda: False)
    assert hosts_of("loopback", None) == ("127.0.0.1", "::1")
    assert hosts_of("auto", None) == ("127.0.0.1", "::1")
    assert hosts_of("lan", None) == ("0.0.0.0", "::")
    assert hosts_of("custom", "192.0.2.1") == ("192.0.2.1",)
    assert hosts_of("custom", None) == ("127.0.0.1", "::1")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def test_binding_ourselves_serves_both_families() -> None:
    listeners = bind_listeners(("127.0.0.1", "::1"), free_port())
    assert [sock.family for sock in listeners] == [socket.AF_INET, socket.AF_INET6]
    for sock in listeners:
        sock.close()


def test_listeners_that_fit_are_kept_and_the_others_closed() -> None:
    old = bind_listeners(("127.0.0.1",), free_port())
    port = old[0].getsockname()[1]
    same = bind_listeners(("127.0.0.1",), port, old)
    assert same == old
    moved = bind_listeners(("127.0.0.1",), free_port(), same)
    assert old[0].fileno() == -1
    moved[0].close()


def test_our_own_listener_on_all_addresses_is_not_in_the_way_of_one() -> None:
    old = bind_listeners(("0.0.0.0",), free_port())
    [one] = bind_listeners(("127.0.0.1",), old[0].getsockname()[1], old)
    assert one.getsockname()[0] == "127.0.0.1" and old[0].fileno() == -1
    one.close()


def test_a_busy_port_names_its_holder(listener: socket.socket) -> None:
    with pytest.raises(PortBusy) as refused:
        bind_listeners(("127.0.0.1",), listener.getsockname()[1])
    assert str(os.getpid()) in str(refused.value)
    assert refused.value.exit_code == 10


def test_an_address_of_no_interface_is_refused_with_the_keys_to_look_at() -> None:
    with pytest.raises(PortBusy, match=r"gateway\.customBindHost"):
        bind_listeners(("192.0.2.1",), free_port())


def test_a_missing_family_does_not_matter_while_another_serves() -> None:
    listeners = bind_listeners(("192.0.2.1", "127.0.0.1"), free_port())
    assert [sock.getsockname()[0] for sock in listeners] == ["127.0.0.1"]
    listeners[0].close()


def test_addresses_are_spelled_as_people_write_them() -> None:
    four, six = bind_listeners(("127.0.0.1", "::1"), free_port())
    assert address_text(four).startswith("127.0.0.1:") and address_text(six).startswith("[::1]:")
    four.close()
    six.close()
