"""Starting units; `activate` as a whole is tested with `install`."""

import os
import socket
from typing import Any

import pytest

from gateway.cli.activation import start
from gateway.errors import PortBusy
from gateway.machine import holders
from gateway.machine.holders import Holder
from gateway.units import SOCKET
from gateway.units.systemctl import Systemctl, SystemctlFailed

pytestmark = pytest.mark.process


def failing(manager: Any, words: Any, port: int) -> Systemctl:
    manager.says(words.socket_off.replace("18789", str(port)), words.service_off)
    manager.refuses("start", "Job for openclaw-gateway.socket failed.")
    return Systemctl(os.environ)


def test_a_start_that_succeeds(manager: Any) -> None:
    start(Systemctl(os.environ), SOCKET)
    assert manager.calls == [f"start {SOCKET}"]


def test_a_port_in_use_names_its_owner(manager: Any, words: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        systemctl = failing(manager, words, listener.getsockname()[1])
        with pytest.raises(PortBusy, match=f"pid {os.getpid()} .*stop it yourself"):
            start(systemctl, SOCKET)


def test_any_other_failure_is_systemds_own(manager: Any, words: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # The port is ours, so it is not the reason.
    ours = Holder(12, os.getuid(), "u", "/lib/systemd/systemd --user", "init.scope")
    child = Holder(13, os.getuid(), "u", "child", None)
    for found in ([], [ours, child]):
        monkeypatch.setattr(holders, "holders", lambda address, found=found: found)
        with pytest.raises(SystemctlFailed, match=r"socket failed\."):
            start(failing(manager, words, 1), SOCKET)


def test_a_start_that_met_an_attempt_which_fails_is_tried_once_more(manager: Any, words: Any) -> None:
    manager.says(words.socket_up, words.service_off.replace("=inactive", "=activating").replace("=dead", "=start-pre"))
    manager.refuses("start", "Job for openclaw-gateway.service failed.")
    with pytest.raises(SystemctlFailed, match=r"service failed\."):
        start(Systemctl(os.environ), SOCKET)
    assert manager.calls == [f"start {SOCKET}"] * 2
