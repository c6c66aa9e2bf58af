import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.process.startup import Options, Startup, open_to_others
from gateway.systemd.descriptors import Inherited


@pytest.fixture
def listeners() -> Iterator[tuple[socket.socket, ...]]:
    with socket.create_server(("127.0.0.1", 0)) as near, socket.create_server(("0.0.0.0", 0)) as far:
        yield near, far


def make(options: Options, inherited: Inherited, unit: str | None = None, connected: bool = False) -> Startup:
    rest: Any = None
    notifier: Any = SimpleNamespace(connected=connected)
    return Startup(options, rest, inherited, notifier, rest, rest, rest, "boot", unit)


def test_only_listeners_beyond_loopback_are_open_to_others(listeners: tuple[socket.socket, ...]) -> None:
    _, far = listeners
    assert open_to_others(listeners) == (f"0.0.0.0:{far.getsockname()[1]}",)


def test_the_socket_unit_decides_where_it_holds_the_port(listeners: tuple[socket.socket, ...]) -> None:
    inherited = Inherited(listeners=listeners[:1], held_by_systemd=True)
    assert make(Options(bind="lan"), inherited).reachable == ()


@pytest.mark.parametrize(
    ("bind", "reachable"),
    [(None, ()), ("loopback", ()), ("127.0.0.1", ()), ("::1", ()), ("lan", ("lan",)), ("192.0.2.1", ("192.0.2.1",))],
)
def test_the_command_line_decides_elsewhere(bind: str | None, reachable: tuple[str, ...]) -> None:
    assert make(Options(bind=bind), Inherited()).reachable == reachable


@pytest.mark.parametrize(("unit", "connected"), [(None, True), ("x.service", False), ("x.service", True)])
def test_a_unit_alone_is_no_service_manager(unit: str | None, connected: bool) -> None:
    assert make(Options(), Inherited(), unit, connected).under_systemd is (unit is not None and connected)
