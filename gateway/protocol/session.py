"""A client after hello: text in, requests and answers out. Pure; the caller moves the bytes.

Requests of one client overlap, so a session keeps the ids that are not answered yet: an id that is used twice at the
same time is refused, and while the session is `full` nothing more may be read.
"""

from collections.abc import Collection
from dataclasses import dataclass

from gateway.protocol.closing import Close
from gateway.protocol.frames import Malformed, NotJson, Request, WireError, decode_request, encode_error
from gateway.protocol.limits import MAX_IN_FLIGHT, MAX_PLAIN_FRAME, limits
from gateway.protocol.params import cut
from gateway.protocol.peer import Peer
from gateway.protocol.scopes import WRITE, refuse


@dataclass(frozen=True)
class Reply:
    """A text to send; the connection stays open."""

    text: bytes


@dataclass(frozen=True)
class Ignored:
    """A frame that cannot be answered; `why` is for the log."""

    why: str


Outcome = Request | Reply | Ignored | Close


class PeerSession:
    def __init__(self, peer: Peer, in_flight: Collection[str]) -> None:
        """`in_flight`: ids of the requests that are not answered yet. The caller keeps it up to date."""
        self.peer = peer
        self.max_payload = max_payload(peer)
        self._in_flight = in_flight

    @property
    def full(self) -> bool:
        return len(self._in_flight) >= MAX_IN_FLIGHT

    def receive(self, text: str | bytes) -> Outcome:
        try:
            request = decode_request(text)
        except NotJson:
            return Ignored("not JSON")
        except Malformed as fault:
            return _invalid(fault.id, f"invalid request frame: {fault}")
        if request.method == "connect":
            return _invalid(request.id, "connect is only valid as the first request")
        if request.id in self._in_flight:
            return _invalid(request.id, f"request id is already in flight: {cut(request.id)}")
        return request


def max_payload(peer: Peer) -> int:
    """Bytes of the largest message that this client may send."""
    most = limits(peer.protocol).max_payload
    writes = refuse(peer.protocol, peer.role, peer.scopes, WRITE) is None
    return most if writes else min(most, MAX_PLAIN_FRAME)


def _invalid(id: str, message: str) -> Reply:
    return Reply(encode_error(id, WireError("INVALID_REQUEST", message)))
