import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.hub import devices as module
from gateway.hub.connection import Connection
from gateway.hub.devices import DeviceClients
from gateway.hub.hub import Hub
from gateway.protocol.closing import (
    TOO_MANY_OF_A_DEVICE,
)
from tests.carrier import FakeCarrier, drained
from tests.effort import examples
from tests.hub.clients import held, peer


def test_of_too_many_clients_of_a_device_the_oldest_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OF_A_DEVICE", 2)
    hub, own = Hub(), replace(peer(), device_id="d1")
    with held(hub, own, replace(own, device_id="d2"), own, peer(), own) as clients:
        assert [each.outbox.closing for each in clients] == [True, False, False, False, False]
        assert drained(clients[0])[1] == TOO_MANY_OF_A_DEVICE
    assert not hub._devices._clients


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(st.sampled_from((None, "a", "b")), st.booleans()), max_size=30))
def test_the_last_clients_of_each_device_stay_in_any_order_of_coming_and_going(
    steps: list[tuple[str | None, bool]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_OF_A_DEVICE", 2)
        devices, there = DeviceClients(), dict[str | None, list[Connection]]()
        for device, leaves in steps:
            clients = there.setdefault(device, [])
            if leaves and clients:
                devices.remove(clients.pop(), device)
            elif not leaves:
                connection = Connection("c", "r", FakeCarrier())
                devices.add(connection, device)
                clients.append(connection)
                if device is not None and len(clients) > 2:
                    assert clients.pop(0).outbox.closing
        assert not any(each.outbox.closing for clients in there.values() for each in clients)
        assert devices._clients == {
            device: dict.fromkeys(clients) for device, clients in there.items() if device and clients
        }
