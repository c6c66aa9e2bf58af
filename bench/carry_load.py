"""WebSocket clients that stay connected; runs beside the server, with wire_load.py in the same folder.

They take turns in asking, in no order, at a fixed rate for all together, whether or not earlier requests were answered;
a client that waits is passed over. Prints `ready` once all are connected, then `began seconds outcome` for each request
as it ends (began in CLOCK_MONOTONIC seconds) and for each connection that ends. Outcomes are ok, refused, and for the
end of a connection asking-<code> or resting-<code>, by whether a request of it was unanswered. Ends at SIGTERM.
"""

import argparse
import asyncio
import random
import resource
import signal
import struct
import sys
import time

import uvloop
import wire_load  # type: ignore[import-not-found]  # in the folder of the script


class Lasting(wire_load.Client):
    began = 0.0
    """When the client has sent the request that is not answered yet; 0 if there is none."""
    code = 1006
    over = False

    def ask(self, message: bytes) -> None:
        self.began = time.monotonic()
        self.transport.write(message)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            super().connection_lost(exc)
        elif not self.over:
            self.over = True
            tell(self.began, f"{'asking' if self.began else 'resting'}-{self.code}")

    def _take(self, opcode: int, body: bytes) -> None:
        if opcode == 8:
            self.code = struct.unpack("!H", body[:2])[0]
        elif opcode == 1 and self.ready.done() and not body.startswith(b'{"type":"event"'):
            tell(self.began, "ok" if self._echo or b'"ok":true' in body else "refused")
            self.began = 0.0
        else:
            super()._take(opcode, body)


def tell(began: float, outcome: str) -> None:
    now = time.monotonic()
    sys.stdout.write(f"{began or now:.6f} {now - (began or now):.6f} {outcome}\n")
    sys.stdout.flush()


async def main(options: argparse.Namespace) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    clients = await wire_load.connect(options.port, options.clients, options.echo, Lasting)
    print("ready", flush=True)
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    message = wire_load.request("last-heartbeat", {})
    # Not in the order in which they came, and in which they are gone on with.
    random.Random(1).shuffle(clients)
    due, turn = loop.time(), 0
    while not over.is_set():
        turn = _ask(clients, turn, message)
        due += 1 / options.rate
        await asyncio.sleep(due - loop.time())
    for client in clients:
        client.over = True
    sys.stdout.flush()


def _ask(clients: list[Lasting], turn: int, message: bytes) -> int:
    """The next one that rests asks. Returns whose turn it is then."""
    for step in range(len(clients)):
        client = clients[(turn + step) % len(clients)]
        if not (client.began or client.over):
            client.ask(message)
            return turn + step + 1
    return turn


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--rate", type=float, default=200.0, help="requests per second of all clients together")
    parser.add_argument("--echo", action="store_true", help="the server is a bare echo")
    uvloop.run(main(parser.parse_args()))
