from msgspec.structs import replace

from gateway.conversations.broadcast import Others, broadcast
from gateway.hub.hub import Hub
from gateway.protocol.scopes import READ
from tests.carrier import drained
from tests.hub.clients import held, peer


def test_each_protocol_gets_the_fields_that_it_has_and_who_missed_the_beginning_the_whole() -> None:
    hub, reader = Hub(), replace(peer(), scopes=(READ,))
    with held(hub, reader, reader, replace(reader, protocol=3), peer()) as (known, late, old, blind):
        others = Others({known, old}, {"deltaText": "all", "replace": True})
        reached = broadcast(hub, "chat", "main", {"a": 1}, {"deltaText": "l"}, 3, False, None, others)
        assert reached == {known, late, old}
        payloads = [[frame["payload"] for frame in drained(each)[0]] for each in (known, late, old, blind)]
        assert payloads == [
            [{"a": 1, "agentId": "main", "deltaText": "l"}],
            [{"a": 1, "agentId": "main", "deltaText": "all", "replace": True}],
            [{"a": 1}],
            [],
        ]


def test_an_event_may_be_for_newer_protocols_and_for_some_clients() -> None:
    hub, reader = Hub(), replace(peer(), scopes=(READ,))
    with held(hub, reader, reader, replace(reader, protocol=3)) as (one, other, old):
        assert broadcast(hub, "agent", "main", {}, {}, 4, False, lambda each: each is not one) == {other}
        assert drained(other)[0][0]["payload"] == {"agentId": "main", "isHeartbeat": False}
        assert broadcast(hub, "agent", "main", {}, {}, 3, False, lambda each: each is old) == {old}
        assert drained(old)[0][0]["payload"] == {}
