"""A child that does its worst: it answers connections on every listener it was left, and outlives its parent.

What it was given is written to ~/orphan-PID.json: its environment and its listening sockets.
"""

import json
import os
import select
import socket

SO_ACCEPTCONN = socket.SO_ACCEPTCONN


def listeners() -> list[socket.socket]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            candidate = socket.socket(fileno=os.dup(int(name)))
            if candidate.getsockopt(socket.SOL_SOCKET, SO_ACCEPTCONN):
                found.append(candidate)
        except OSError:
            continue
    return found


held = listeners()
path = os.path.expanduser(f"~/orphan-{os.getpid()}.json")
with open(path + ".part", "w") as file:
    json.dump({"environment": dict(os.environ), "listeners": [str(sock.getsockname()) for sock in held]}, file)
os.rename(path + ".part", path)
while True:
    for sock in select.select(held, [], [])[0]:
        connection, _ = sock.accept()
        connection.sendall(b"HTTP/1.1 500 Orphan\r\nContent-Length: 0\r\n\r\n")
