"""The first frame of a client, by its schema and as any text, at every door: what lets in, and what a refusal says.

Whom it lets in without a credential that the mode asks for is a finding, whatever else the frame says.
"""

import json
from dataclasses import replace
from typing import Any

from msgspec import structs

from gateway.protocol.admission.handshake import ROLES, Accepted, _Connect, receive_connect
from gateway.protocol.admission.lockout import Lockout
from gateway.protocol.admission.proxy import ProxyUser
from gateway.protocol.limits import MAX_CLOSE_REASON
from tests.doors import CLIENTS, ISSUED, PLACES, POLICIES, FakeBook, frame, make_door
from tests.fuzz.source import WORDS, Source, compact

SCOPES = ("operator.read", "operator.write", "operator.admin", "operator.pairing", "operator.approvals")
NAMES = {each for pair in CLIENTS.values() for each in pair}
LIKELY = ("right", "wrong", ISSUED, "operator", "node", "nonce", *SCOPES, *sorted(NAMES))


def one(data: bytes) -> None:
    source = Source(data, words=(*LIKELY, *WORDS))
    mode, place = source.pick(tuple(POLICIES)), source.pick(tuple(PLACES))
    origin = source.pick(
        (None, None, "http://localhost:5173", "https://evil.example", "null", "http://192.168.1.5:18789")
    )
    door = make_door(place, origin, book=FakeBook(known=source.chance()), lockout=Lockout(lambda: 0.0))
    door = replace(door, terms=structs.replace(door.terms, auth=POLICIES[mode]))
    text = first_frame(source)
    outcome = receive_connect(text, door)
    if isinstance(outcome, Accepted):
        let_in(json.loads(text), outcome, mode, door)
        return
    assert outcome.close.code in (1000, 1002, 1008), outcome
    assert len(outcome.close.reason.encode()) <= MAX_CLOSE_REASON, outcome
    if outcome.text is None:
        assert outcome.close.code == 1000 or outcome.close.reason == "invalid request frame", outcome
    else:
        answer = json.loads(outcome.text)
        assert (answer["type"], answer["ok"], answer["id"]) == ("res", False, json.loads(text)["id"]), answer
        assert len(outcome.text) < 4096 + len(text), "a refusal that is much longer than what it refuses"


def first_frame(source: Source) -> str:
    kind = source.byte() % 8
    if kind == 0:
        return source.bytes(4096).decode(errors="replace")
    if kind == 1:
        whole = {"type": "req", "id": "c", "method": "connect", "params": source.json()}
    elif kind < 5:
        asked = [source.pick(SCOPES) for _ in range(source.byte() % 3)]
        auth = {
            source.pick(("token", "password", "deviceToken")): source.pick(LIKELY) for _ in range(source.byte() % 3)
        }
        protocol, client, role = 3 + source.byte() % 2, source.pick(tuple(CLIENTS)), source.pick(ROLES)
        device = source.pick(("", "good", "false"))
        whole = json.loads(frame(protocol, client, auth, role=role, device=device, asked=asked))
        if source.chance(4) and isinstance(more := source.of(_Connect), dict):
            whole["params"] |= more
    else:
        params = source.of(_Connect)
        if isinstance(params, dict) and not source.chance(4):
            params |= {"minProtocol": 3, "maxProtocol": 4}
        whole = {"type": "req", "id": source.text() or "c", "method": "connect", "params": params}
    return compact(whole).decode()


def let_in(sent: dict[str, Any], outcome: Accepted, mode: str, door: Any) -> None:
    params, peer = sent["params"], outcome.peer
    auth = params.get("auth") or {}
    assert peer.role == (params.get("role") or "operator") and outcome.request_id == sent["id"]
    issued = (
        door.devices.known and peer.device_id is not None and ISSUED in (auth.get("token"), auth.get("deviceToken"))
    )
    secret = door.terms.auth.token or door.terms.auth.password
    shown = secret is not None and secret in (auth.get("token"), auth.get("password"))
    proxied = isinstance(door.identity, ProxyUser)
    assert issued or shown or (mode == "none") or (mode.startswith("proxy") and proxied), ("nobody asked", mode, sent)
    # An operator gets what they asked for, and in protocol 3 everything if that was nothing.
    if peer.protocol >= 4 or params.get("scopes"):
        assert {*peer.scopes} <= {*(params.get("scopes") or ())} or proxied, (peer.scopes, params.get("scopes"))
    if not door.source.local and peer.device_id is None and not proxied:
        assert peer.scopes == (), "rights from elsewhere, without a device"
