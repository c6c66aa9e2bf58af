"""Clients that come at a fixed rate, each with a connection of its own; runs beside the server, standard library only.

A new one comes on time whether or not those before have been answered, so a server that is away delays or loses what
would have come meanwhile, and not just one request. Prints `began seconds outcome` for each request as it ends (began
in CLOCK_MONOTONIC seconds); outcomes are ok, refused, reset (no whole answer) and timeout. Ends at SIGTERM, after the
last answer.
"""

import argparse
import asyncio
import signal
import sys
import time

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n"
FULL_BODY = b'"status":"live"}'


async def request(port: int) -> str:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return "refused"
    try:
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readuntil(FULL_BODY)
        return "ok" if head.startswith(b"HTTP/1.1 200 ") and body else "reset"
    except asyncio.IncompleteReadError:
        return "reset"
    finally:
        writer.close()


async def newcomer(port: int, patience: float) -> None:
    began = time.monotonic()
    try:
        async with asyncio.timeout(patience):
            outcome = await request(port)
    except TimeoutError:
        outcome = "timeout"
    except OSError:
        outcome = "reset"
    sys.stdout.write(f"{began:.6f} {time.monotonic() - began:.6f} {outcome}\n")
    sys.stdout.flush()


async def main(options: argparse.Namespace) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    due = loop.time()
    async with asyncio.TaskGroup() as group:
        while not over.is_set():
            group.create_task(newcomer(options.port, options.patience))
            due += 1 / options.rate
            await asyncio.sleep(due - loop.time())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, default=200.0, help="newcomers per second")
    parser.add_argument("--patience", type=float, default=10.0, help="seconds for one request")
    asyncio.run(main(parser.parse_args()))
