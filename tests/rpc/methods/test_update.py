"""What the newer Control UI asks about the installation: updates, the machine, the user."""

from dataclasses import replace
from pathlib import Path

from gateway.protocol.scopes import ADMIN, READ
from tests.fakes.core import PATHS, FakeCore
from tests.rpc.calls import call, make_peer

NEW = make_peer(4, READ)


def test_no_update() -> None:
    payload = call(FakeCore(), make_peer(4, ADMIN), "update.status", {"refreshCheckout": True})["payload"]
    assert payload == {
        "sentinel": None,
        "updateAvailable": None,
        "effectiveChannel": "stable",
        "schedule": {"channel": "stable", "autoEnabled": False, "install": {"kind": "package"}},
    }


def test_the_machine(tmp_path: Path) -> None:
    payload = call(FakeCore(paths=replace(PATHS, state=tmp_path)), NEW, "system.info")["payload"]
    assert payload["platform"] == "linux" and payload["nodeVersion"].startswith("Python 3.")
    assert (payload["port"], payload["processInstanceId"]) == (18789, "boot-1")
    assert len(payload["loadAverage"]) == 3 and payload["cpuCount"] >= 1
    assert payload["memoryTotalBytes"] >= payload["memoryFreeBytes"] > 0
    assert payload["diskTotalBytes"] >= payload["diskAvailableBytes"]
    gone = call(FakeCore(paths=replace(PATHS, state=tmp_path / "gone")), NEW, "system.info")["payload"]
    assert "diskTotalBytes" not in gone and gone["diskPath"] == str(tmp_path / "gone")


def test_there_are_no_users() -> None:
    error = call(FakeCore(), NEW, "users.self")["error"]
    assert error == {"code": "FORBIDDEN", "message": "users.self requires an authenticated user"}
    assert call(FakeCore(), NEW, "users.list")["payload"] == {"profiles": []}
