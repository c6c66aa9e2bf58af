"""Asks a systemd for properties of its units, over its private socket.

It is what `systemctl show` does, without a start of systemctl: D-Bus between two, and of that only as much as one
property of a simple kind needs.
"""

import itertools
import socket
import struct

INTERFACES = {
    "ActiveState": "Unit",
    "LoadState": "Unit",
    "ControlPID": "Service",
    "MainPID": "Service",
    "NFileDescriptorStore": "Service",
    "NRestarts": "Service",
    "Result": "Service",
    "StatusText": "Service",
}
UNITS = "/org/freedesktop/systemd1/unit/"
PROPERTIES = "org.freedesktop.DBus.Properties"
PATH, INTERFACE, MEMBER, SIGNATURE = 1, 2, 3, 8
"""Fields of a message's head."""
CALL, REPLY = 1, 2
FIXED_HEAD = 16
WAIT_S = 20.0


class Systemd:
    def __init__(self, connection: socket.socket) -> None:
        self._serials = itertools.count(1)
        self._socket = connection
        self._socket.settimeout(WAIT_S)
        self._file = self._socket.makefile("rb")
        self._socket.sendall(b"\0AUTH EXTERNAL " + b"0".hex().encode() + b"\r\nBEGIN\r\n")
        answer = self._file.readline()
        assert answer.startswith(b"OK "), answer

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def get(self, unit: str, name: str) -> str | int:
        path = UNITS + "".join(each if each.isascii() and each.isalnum() else f"_{ord(each):02x}" for each in unit)
        interface = f"org.freedesktop.systemd1.{INTERFACES[name]}"
        serial = next(self._serials)
        self._socket.sendall(_call(serial, path, PROPERTIES, "Get", interface, name))
        while True:
            head = self._file.read(FIXED_HEAD)
            if len(head) < FIXED_HEAD:
                raise ConnectionResetError("the manager has closed the connection")
            kind, length, fields = head[1], *struct.unpack("<4xI4xI", head)
            rest = self._file.read(-fields % 8 + fields)
            body = self._file.read(length)
            if kind == REPLY:
                return _variant(body)
            assert kind > REPLY + 1, f"{name} of {unit}: {(rest + body)!r}"  # a signal is for others


def _call(serial: int, path: str, interface: str, member: str, *arguments: str) -> bytes:
    body = b""
    for text in arguments:
        body += bytes(-len(body) % 4) + _text(text)
    fields = b""
    for number, kind, text in ((PATH, "o", path), (INTERFACE, "s", interface), (MEMBER, "s", member)):
        fields += bytes(-len(fields) % 8) + bytes([number, 1]) + kind.encode() + b"\0" + _text(text)
    fields += bytes(-len(fields) % 8) + bytes([SIGNATURE, 1]) + b"g\0" + bytes([len(arguments)]) + b"s" * len(arguments)
    fields += b"\0"
    head = struct.pack("<cBBBIII", b"l", CALL, 0, 1, len(body), serial, len(fields)) + fields
    return head + bytes(-len(head) % 8) + body


def _text(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode() + b"\0"


def _variant(body: bytes) -> str | int:
    """A text, or a number of 32 bits."""
    kind, place = body[1:2], 4
    (number,) = struct.unpack_from("<I", body, place)
    if kind == b"s":
        return body[place + 4 : place + 4 + number].decode()
    assert kind in b"ui", f"a property of the kind {kind!r}"
    return int(number)
