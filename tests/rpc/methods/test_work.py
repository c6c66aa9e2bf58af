"""Tasks, queues, machines and checkouts of agents: none."""

import pytest

from gateway.protocol.scopes import READ
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer

NEW = make_peer(4, READ)


@pytest.mark.parametrize(
    ("name", "params", "payload"),
    [
        ("tasks.list", {"status": ["queued", "running"], "limit": 500, "agentId": "main"}, {"tasks": []}),
        ("tasks.list", {"status": "failed", "sortBy": "endedAt"}, {"tasks": []}),
        ("environments.list", {"includeDesktopSetup": True}, {"environments": []}),
        ("environments.list", {"projection": "profiles", "runtimeId": "x"}, {"environments": []}),
        ("worktrees.list", {}, {"worktrees": []}),
        ("artifacts.list", {"sessionKey": "main", "type": "image", "limit": 4}, {"artifacts": []}),
    ],
)
def test_there_is_none(name: str, params: dict[str, object], payload: dict[str, object]) -> None:
    assert call(FakeCore(), NEW, name, params)["payload"] == payload
    assert call(FakeCore(), make_peer(3, READ), name, params)["error"]["message"] == f"unknown method: {name}"


def test_no_queue() -> None:
    payload = call(FakeCore(), NEW, "diagnostics.lanes")["payload"]
    assert payload.pop("ts") > 0 and payload == {"lanes": [], "dynamic": None}


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"status": ["x"]}, "at /status/0: must be equal to one of the allowed values"),
        ({"limit": 501}, "at /limit: must be <= 500"),
        ({"cursor": "x" * 513}, "at /cursor: must NOT have more than 512 characters"),
    ],
)
def test_what_is_not_a_filter_of_tasks(params: dict[str, object], fault: str) -> None:
    assert call(FakeCore(), NEW, "tasks.list", params)["error"]["message"].endswith(fault)
