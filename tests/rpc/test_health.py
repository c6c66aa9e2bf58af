"""The payload of health, in both protocols."""

import json

from gateway.rpc.health import measure
from tests.fakes.core import FakeCore


def test_only_the_time_changes_while_nothing_does() -> None:
    core = FakeCore()
    first, second = (json.loads(bytes(measure(core, 4, True))) for _ in range(2))
    assert list(first)[0] == "ts" and first.pop("ts") <= second.pop("ts")
    assert first == second


def test_what_is_wrong_is_told_at_once() -> None:
    core = FakeCore()
    assert json.loads(bytes(measure(core, 3, False)))["degraded"] == []
    core.degraded = ("config",)
    assert json.loads(bytes(measure(core, 3, False)))["degraded"] == ["config"]


def test_protocol_4_is_told_more() -> None:
    old, new = (json.loads(bytes(measure(FakeCore(), protocol, True))) for protocol in (3, 4))
    assert new.keys() - old.keys() == {"plugins", "configReload", "modelRuntime", "eventLoop"}
