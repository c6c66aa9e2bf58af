"""As many requests as the server takes, over kept-alive connections: wrk's part where wrk is not installed.

Prints requests per second. Needs uvloop, which the gateway's installation has.
"""

import argparse
import asyncio
from typing import cast

import uvloop

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n"
FULL_BODY = b'"status":"live"}'


class Client(asyncio.Protocol):
    """Asks again as soon as it has its answer."""

    def __init__(self) -> None:
        self.answers = 0
        self.lost = False
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(FULL_BODY) and self._transport is not None:
            self.answers += 1
            self._received = b""
            self._transport.write(REQUEST)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


async def main(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    clients = [(await loop.create_connection(Client, "127.0.0.1", options.port))[1] for _ in range(options.connections)]
    began = loop.time()
    await asyncio.sleep(options.seconds)
    took = loop.time() - began
    if any(client.lost or not client.answers for client in clients):
        raise SystemExit("the server closed a connection that was in use, or did not answer on it")
    print(f"{sum(client.answers for client in clients) / took:.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=3.0)
    uvloop.run(main(parser.parse_args()))
