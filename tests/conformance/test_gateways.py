"""How a client is seen in the kernel's table of connections."""

import socket
from pathlib import Path

from conformance.gateways import client_ports


def test_clients_are_seen_also_after_they_have_left_and_listeners_are_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def now() -> set[int]:
            return client_ports(Path("/proc/net/tcp").read_text(), port)

        assert now() == set()
        with socket.create_connection(("127.0.0.1", port)) as client:
            own = client.getsockname()[1]
            assert now() == {own}
            served, _ = listener.accept()
        served.close()
        assert now() == {own}
