"""What bench/doors.py does to the gateway, and the one who asks meanwhile; each prints one line of JSON.

Plain sockets, so that a client costs nothing but its bytes.
"""

import argparse
import itertools
import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.wire_load import HELLO, UPGRADE, request

ADDRESSES = 8
"""Loopback addresses of unauthenticated clients. No address exceeds its own bound."""
STRANGERS, PARTIAL = 4000, 60_000
VALUES = 2_500_000
READERS, ANSWERS, MESSAGES, MESSAGE_BYTES = 4, 32, 12, 500_000
GUESSES, NETS, TOGETHER = 100_000, 65_536, 8
LOCKED = 10
"""Wrong passwords that lock an address out."""
HOLD_S = 3.0
PROBE = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def head(size: int) -> bytes:
    return struct.pack("!BBQ", 0x81, 0xFF, size) + bytes(4)


def connected(port: int, first: bytes = UPGRADE, address: str = "127.0.0.1") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(address, 0))
    sock.sendall(first)
    return sock


def greeted(port: int) -> socket.socket:
    sock = connected(port)
    sock.recv(65536)
    sock.sendall(HELLO)
    seen = b""
    while b'"event":"health"' not in seen:
        seen += sock.recv(1 << 20)
    return sock


def ask(sock: socket.socket, method: str, params: dict[str, Any], id: str) -> None:
    text = json.dumps({"type": "req", "id": id, "method": method, "params": params}).encode()
    sock.sendall(head(len(text)) + text)
    seen = b""
    while f'"id":"{id}"'.encode() not in seen:
        seen += sock.recv(1 << 20)
    assert b'"ok":true' in seen, seen[:500]


def strangers(port: int) -> dict[str, Any]:
    """Clients that upgrade, and send nearly all that an unauthenticated client may before its message is complete."""
    held, begun = [], head(PARTIAL + 1) + b"x" * PARTIAL
    for number in range(STRANGERS):
        with suppress(OSError):
            sock = connected(port, address=f"127.0.1.{number % ADDRESSES + 1}")
            sock.recv(65536)
            sock.sendall(begun)
            held.append(sock)
    time.sleep(HOLD_S)
    with suppress(OSError):
        greeted(port).close()  # from the address that the others did not use
        return {"connected": len(held), "newcomer": "served"}
    return {"connected": len(held), "newcomer": "refused"}


def values(port: int) -> dict[str, Any]:
    sock, items = greeted(port), b",".join([b'{"ab":{}}'] * VALUES)
    text = b'{"type":"req","method":"health","id":[' + items + b"]}"
    with suppress(OSError):
        sock.sendall(head(len(text)) + text)
        sock.recv(65536)
    time.sleep(1)
    return {"bytes": len(text)}


def unread(port: int) -> dict[str, Any]:
    sock = greeted(port)
    ask(sock, "sessions.create", {"key": "main"}, "new")
    for number in range(MESSAGES):
        ask(sock, "chat.inject", {"sessionKey": "main", "message": "x" * MESSAGE_BYTES}, f"m{number}")
    readers = []
    for _ in range(READERS):
        reader = greeted(port)
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        readers.append(reader)
    for number, reader in itertools.product(range(ANSWERS), readers):
        with suppress(OSError):
            reader.sendall(request("chat.history", {"sessionKey": "main"}, str(number)))
    time.sleep(HOLD_S * 2)
    ask(sock, "last-heartbeat", {}, "after")
    return {"asked": READERS * ANSWERS}


def guess(sock: socket.socket, number: int, secret: str = "wrong") -> int:
    high, low = divmod(number % NETS, 256)
    sock.sendall(
        b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 10.7.%d.%d\r\nAuthorization: Bearer %b\r\n\r\n"
        % (high, low, secret.encode())
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += sock.recv(65536)
    before, _, body = answer.partition(b"\r\n\r\n")
    size = int(before.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
    while len(body) < size:
        body += sock.recv(65536)
    return int(answer[9:12])


def guesses(port: int) -> dict[str, Any]:
    """One address is locked first; then come wrong passwords of all of them."""
    first = connected(port, b"")
    for _ in range(LOCKED):
        guess(first, 0)
    before = guess(first, 0, "bench")

    def many(start: int) -> None:
        sock = connected(port, b"")
        for number in range(start, GUESSES, TOGETHER):
            guess(sock, number % (NETS - 1) + 1)

    threads = [threading.Thread(target=many, args=(start,)) for start in range(TOGETHER)]
    began = time.perf_counter()
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    took = time.perf_counter() - began
    after = guess(connected(port, b""), 0, "bench")
    return {"before": before, "after": after, "per_second": GUESSES / took}


def delayed(pids: tuple[int, ...]) -> float:
    """Seconds for which these waited for a processor that had other work, since they began."""
    return sum(int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1]) for pid in pids) / 1e9


def watch(port: int, server: int) -> dict[str, Any]:
    """The longest wait for /healthz, until stdin ends; and the longest without what other work of the machine cost."""
    ended, longest, own, pids = threading.Event(), 0.0, 0.0, (server, os.getpid())
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    sock = connected(port, b"", "127.0.2.1")
    print("watching", flush=True)
    while not ended.wait(0.002):
        waited, began = delayed(pids), time.perf_counter()
        try:
            sock.sendall(PROBE)
            if not sock.recv(65536):
                raise ConnectionResetError
        except OSError:
            sock = connected(port, b"", "127.0.2.1")
            continue
        took = time.perf_counter() - began
        longest, own = max(longest, took), max(own, took - (delayed(pids) - waited))
    return {"longest": longest, "own": own}


LOADS: dict[str, Callable[[int], dict[str, Any]]] = {
    "strangers": strangers,
    "values": values,
    "unread": unread,
    "guesses": guesses,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("load", choices=[*LOADS, "watch"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pid", type=int, help="whom to watch")
    chosen = parser.parse_args()
    found = watch(chosen.port, chosen.pid) if chosen.load == "watch" else LOADS[chosen.load](chosen.port)
    print(json.dumps(found), flush=True)
