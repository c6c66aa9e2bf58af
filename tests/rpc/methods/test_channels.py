"""What a gateway without channels says of them."""

from gateway.protocol.scopes import READ
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer

OLD, NEW = make_peer(3, READ), make_peer(4, READ)
EMPTY = {
    "channelOrder": [],
    "channelLabels": {},
    "channelDetailLabels": {},
    "channelSystemImages": {},
    "channelMeta": [],
    "channels": {},
    "channelAccounts": {},
    "channelDefaultAccountId": {},
}


def test_no_channel() -> None:
    old = call(FakeCore(), OLD, "channels.status", {"probe": True, "timeoutMs": 8000})["payload"]
    new = call(FakeCore(), NEW, "channels.status", {"probe": False, "channel": "x"})["payload"]
    assert old.pop("ts") > 0 and new.pop("ts") > 0
    assert old == EMPTY and new == EMPTY | {"statusIssues": []}


def test_nobody_asks_to_write_over_a_channel() -> None:
    payload = call(FakeCore(), make_peer(4, "operator.pairing"), "channels.pairing.list")["payload"]
    limits = {"pendingPerAccount": 0, "ttlMs": 0}
    assert payload == {"accounts": [], "requests": [], "commandOwnerConfigured": False, "limits": limits}
