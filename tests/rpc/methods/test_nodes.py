"""What a gateway without nodes says of them."""

from gateway.protocol.scopes import READ
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer

OLD = make_peer(3, READ)


def test_no_node() -> None:
    payload = call(FakeCore(), OLD, "node.list")["payload"]
    assert payload["ts"] > 0 and payload["nodes"] == []
    pairing = make_peer(4, "operator.pairing")
    assert call(FakeCore(), pairing, "node.pair.list")["payload"] == {"pending": [], "paired": []}
    error = call(FakeCore(), OLD, "node.pair.list")["error"]
    assert error["message"] == "missing scope: operator.pairing"
