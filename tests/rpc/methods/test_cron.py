"""What a gateway without a scheduler says of its jobs."""

from gateway.protocol.scopes import READ
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured

OLD, NEW = make_peer(3, READ), make_peer(4, READ)


def test_no_job() -> None:
    status = {"enabled": True, "storePath": "/home/u/.openclaw/cron/jobs.json", "jobs": 0, "nextWakeAtMs": None}
    assert call(FakeCore(), OLD, "cron.status")["payload"] == status
    off = configured({"cron": {"enabled": False}})
    assert call(off, NEW, "cron.status")["payload"] == status | {"enabled": False, "triggersEnabled": False}
    assert call(FakeCore(), OLD, "cron.list", {"includeDisabled": True})["payload"] == {"jobs": []}
    ask = {"includeDisabled": True, "limit": 200, "offset": 0, "trigger": "all", "sessionKey": "main"}
    page = call(FakeCore(), NEW, "cron.list", ask)["payload"]
    assert page.pop("snapshotRevision")
    assert page == {"jobs": [], "total": 0, "offset": 0, "limit": 200, "hasMore": False, "nextOffset": None}


def test_no_run() -> None:
    ask = {"scope": "all", "limit": 20, "offset": 5, "statuses": ["ok"], "sortDir": "desc"}
    page = call(FakeCore(), NEW, "cron.runs", ask)["payload"]
    assert page == {"entries": [], "total": 0, "offset": 5, "limit": 20, "hasMore": False, "nextOffset": None}
    assert call(FakeCore(), OLD, "cron.runs", {"id": "x", "limit": 200})["payload"] == {"entries": []}
    assert call(FakeCore(), NEW, "cron.runs", {"scope": "job", "id": "x"})["payload"]["entries"] == []
    error = call(FakeCore(), NEW, "cron.runs", {"scope": "job"})["error"]
    assert error["message"] == "invalid cron.runs params: missing id"
