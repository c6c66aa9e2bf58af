import socket
from collections.abc import Iterator

import pytest

from gateway.handover.ledger import Ledger
from tests import tcp


@pytest.fixture(scope="module")
def ours() -> Iterator[socket.socket]:
    with tcp.pair() as (sock, _):
        yield sock


@pytest.fixture(scope="module")
def book() -> Iterator[Ledger]:
    ledger = Ledger()
    yield ledger
    ledger.close()
