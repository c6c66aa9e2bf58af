from collections.abc import Mapping, Sequence

from gateway.units import SOCKET
from gateway.units.addresses import Address
from gateway.units.state import read
from gateway.units.systemctl import Outcome, Systemctl

LISTENING = """\
LoadState=loaded
ActiveState=active
SubState=listening
Result=success
UnitFileState=enabled-runtime
DropInPaths=/a/10.conf /a/20.conf
NeedDaemonReload=yes
Listen=127.0.0.1:18789 (Stream)
Listen=/run/x.sock (Stream)
"""
CRASHED = "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=watchdog\nNRestarts=3\nMainPID=0\n"


def answer(words: Sequence[str], env: Mapping[str, str], limit: float) -> Outcome:
    return Outcome(0, LISTENING if SOCKET in words else CRASHED, "")


def test_both_units() -> None:
    states = read(Systemctl({}, answer))
    assert states.socket.is_active
    assert states.socket.is_enabled
    assert states.socket.listen == (Address("127.0.0.1", 18789),)
    assert states.socket.drop_ins == ("/a/10.conf", "/a/20.conf")
    assert states.socket.needs_daemon_reload
    assert not states.service.is_active
    assert not states.service.is_enabled
    assert (states.service.result, states.service.restarts, states.service.main_pid) == ("watchdog", 3, 0)
