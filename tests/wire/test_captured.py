"""What OpenClaw's own programs said to each other, said again to ours: tests/wire/captured holds the frames.

An answer of ours has every key that theirs has, down to the leaves, except what MISSING lists; an error is theirs to
the letter.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.config.files import Snapshot
from gateway.config.fingerprint import fingerprint
from gateway.files.paths import Paths
from gateway.protocol.admission.admission import Terms
from gateway.protocol.admission.auth import AuthPolicy
from gateway.protocol.admission.handshake import Accepted, HandshakeContext, HandshakeRefused, receive_connect
from gateway.protocol.admission.lockout import Lockout
from gateway.protocol.admission.origin import request_origin
from gateway.protocol.frames import Request
from gateway.protocol.session import PeerSession, Reply
from gateway.rpc.methods import METHODS
from tests.doors import FakeBook
from tests.fakes.core import FakeCore
from tests.rpc.calls import answer, make_peer
from tests.rpc.methods.configured import CONFIG

LATER = {
    "cron.add",
    "cron.remove",
    "cron.run",
    "cron.update",
    "gateway.identity.get",
    "tts.status",
    "voicewake.get",
}
"""Methods of theirs that we do not have yet. Each must be truly unknown, so the list can only shrink."""

SINCE = {(3, "tools.catalog")}
"""What the captured release did not have yet, and later ones of the same protocol do."""

MISSING: dict[tuple[int, str], set[str]] = {
    (3, "system-presence"): {"[].ip"},
    (4, "system-presence"): {"[].ip"},
    (4, "status"): {".heartbeat.agents[].waitingForRoute", ".hostDesktop"},
    (4, "config.get"): {".agentRosterIncludeOwned", ".bindingsIncludeOwned", ".includeProvenance"},
    (4, "agents.list"): {".agents[].defaultPermissionMode", ".agents[].workspaceGit"},
    (4, "chat.history"): {".sessionInfo.fastAutoOnSeconds"},
    (4, "chat.startup"): {".sessionInfo.fastAutoOnSeconds"},
    (4, "channels.status"): {".eventLoop"},
    (4, "cron.status"): {".sqlitePath", ".storage"},
    (3, "config.schema"): {f".schema.properties.{key}" for key in ("env", "meta", "wizard")},
    (4, "config.schema"): {".schema.properties.meta"},
    (4, "config.schema.lookup"): {".children[].hint.advanced", ".hint.advanced", ".schema.additionalProperties"},
    (4, "system.info"): {".cpuModel", ".disks", ".eventLoop", ".processMemory"},
    (4, "health"): {".eventLoop.cpuBreakdown.hostUtilization", ".eventLoop.cpuBreakdown.workerCoreRatio"},
}
"""Keys of theirs that our answers do without."""

NO_HEARTBEATS = {"code": "UNAVAILABLE", "message": "heartbeats are not available in this gateway yet"}
OTHERWISE: dict[str, dict[str, Any]] = {"set-heartbeats": NO_HEARTBEATS, "wake": NO_HEARTBEATS}
"""What we cannot do and say so, where they did it."""

RIGHT_HASH = "6131f84d205597703d5ef87fc1b9b47655d4b0f198a5062ee59a77ecd6750b44"
"""The hash of the config file when the frames were captured."""
USERS_OWN = (".parsed", ".config", ".sourceConfig", ".runtimeConfig")
"""The user's config in an answer: what it holds is not the wire's shape."""

CAPTURED = Path(__file__).with_name("captured")


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CAPTURED / f"{name}.jsonl").read_text().splitlines()]


def pairs(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each request with its answer."""
    frames = [row["frame"] for row in rows(name) if "frame" in row]
    answers = {frame["id"]: frame for frame in frames if frame["type"] == "res"}
    return [(frame, answers[frame["id"]]) for frame in frames if frame["type"] == "req" and frame["id"] in answers]


EXCHANGES = [
    pytest.param(protocol, request, answer, id=f"v{protocol} {request['method']} {json.dumps(request['params'])[:40]}")
    for protocol, name in [(3, "methods-v3"), (4, "methods-v4"), (3, "config-v3"), (3, "cli-v3"), (4, "cli-v4")]
    for request, answer in pairs(name)
    if not (name.startswith("cli") and request["method"] == "connect")
]


def missing(theirs: object, ours: object, path: str = "") -> set[str]:
    """The paths that an answer of theirs has and ours has not; of a list, the first entries are compared."""
    if isinstance(theirs, dict) and path not in USERS_OWN:
        if not isinstance(ours, dict):
            return {path or "."}
        return {
            gap
            for key, value in theirs.items()
            for gap in (missing(value, ours[key], f"{path}.{key}") if key in ours else {f"{path}.{key}"})
        }
    if isinstance(theirs, list):
        if not isinstance(ours, list):
            return {path or "."}
        return missing(theirs[0], ours[0], f"{path}[]") if theirs and ours else set()
    return set()


def exchange(protocol: int, request: dict[str, Any], folder: Path) -> dict[str, Any]:
    (folder / "openclaw.json").write_text("{}")
    if request["params"].get("baseHash") == RIGHT_HASH:
        request = request | {
            "params": request["params"] | {"baseHash": fingerprint(folder, hashlib.sha256(b"{}").hexdigest())}
        }
    paths = Paths(config=folder / "openclaw.json", state=folder, runtime=folder)
    core = FakeCore(paths=paths, snapshot=Snapshot(paths.config, True, (), merged=CONFIG))
    peer = make_peer(protocol, "operator.admin")
    outcome = PeerSession(peer, ()).receive(json.dumps(request))
    if isinstance(outcome, Reply):
        return decoded(outcome.text)
    assert isinstance(outcome, Request), outcome
    return answer(core, peer, outcome)


def decoded(text: str) -> dict[str, Any]:
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(("protocol", "request_", "theirs"), EXCHANGES)
def test_a_captured_request_gets_their_answer(
    protocol: int, request_: dict[str, Any], theirs: dict[str, Any], tmp_path: Path
) -> None:
    method = request_["method"]
    ours = exchange(protocol, request_, tmp_path)
    assert (ours["type"], ours["id"]) == ("res", request_["id"])
    if method in LATER:
        assert ours["error"]["message"] == f"unknown method: {method}", "it is here: take it out of LATER"
    elif method in OTHERWISE:
        assert ours["error"] == OTHERWISE[method]
    elif not theirs["ok"] and (protocol, method) not in SINCE:
        assert ours.get("error") == theirs["error"]
    else:
        assert ours["ok"], ours
        assert missing(theirs.get("payload"), ours.get("payload")) == MISSING.get((protocol, method), set())


def test_the_lists_name_only_what_was_captured() -> None:
    captured = {(p.values[0], p.values[1]["method"]) for p in EXCHANGES}  # type: ignore[index]
    assert {method for _, method in captured} >= LATER | OTHERWISE.keys()
    assert captured >= MISSING.keys()
    assert not LATER & {each.name for each in METHODS}


POLICY = AuthPolicy("token", token="t0k", generation=1)
HOST = "127.0.0.1:18789"


def door(nonce: str = "", now_ms: int = 0, origin: str | None = None) -> HandshakeContext:
    headers = [(b"host", HOST.encode()), *([(b"origin", origin.encode())] if origin else [])]
    here, lockout = request_origin("127.0.0.1", headers, ()), Lockout(lambda: 0.0)
    return HandshakeContext(Terms(POLICY), here, FakeBook(), lockout, challenge=nonce, now_ms=now_ms)


@pytest.mark.parametrize("name", ["cli-v3", "cli-v4", "control-ui-v3", "control-ui-v4"])
def test_a_captured_client_is_let_in(name: str) -> None:
    """Each with its proof: the nonce is the captured one, and it is the moment of then."""
    challenged, connect, answered = (row["frame"] for row in rows(name)[:3])
    nonce, now_ms = challenged["payload"]["nonce"], challenged["payload"]["ts"]
    origin = f"http://{HOST}" if name.startswith("control-ui") else None
    outcome = receive_connect(json.dumps(connect), door(nonce, now_ms, origin))
    assert isinstance(outcome, Accepted), outcome
    hello = answered["payload"]
    assert outcome.request_id == answered["id"]
    assert outcome.peer.protocol == hello["protocol"]
    assert outcome.peer.scopes == tuple(hello["auth"]["scopes"])
    assert outcome.peer.device_id == connect["params"].get("device", {}).get("id")


@pytest.mark.parametrize("name", ["cli-v3", "control-ui-v3", "control-ui-v4"])
@pytest.mark.parametrize("change", ["nonce", "late", "signature", "scopes", "token"])
def test_a_captured_proof_holds_for_nothing_else(name: str, change: str) -> None:
    challenged, connect = (row["frame"] for row in rows(name)[:2])
    nonce, now_ms = challenged["payload"]["nonce"], challenged["payload"]["ts"]
    origin = f"http://{HOST}" if name.startswith("control-ui") else None
    params = connect["params"]
    if change == "nonce":
        nonce = "another"
    elif change == "late":
        now_ms += 11 * 60_000
    elif change == "signature":
        params["device"]["signature"] = "A" + params["device"]["signature"][1:]
    elif change == "scopes":
        params["scopes"] = params["scopes"][:1]
    else:
        params["auth"]["token"] = "other"
    outcome = receive_connect(json.dumps(connect), door(nonce, now_ms, origin))
    assert isinstance(outcome, HandshakeRefused) and outcome.text is not None
    assert json.loads(outcome.text)["error"]["message"].startswith("device "), outcome.text


CASES: dict[str, dict[str, Any]] = {
    "badtoken": {"auth": {"token": "wrong"}},
    "notoken": {"auth": {}},
    "noauth": {"auth": None},
    "password-field": {"auth": {"password": "t0k"}},
    "proto2": {"minProtocol": 2, "maxProtocol": 2},
    "proto3": {"minProtocol": 3, "maxProtocol": 3},
    "proto4": {"minProtocol": 4, "maxProtocol": 4},
    "proto5": {"minProtocol": 5, "maxProtocol": 5},
    "badclient": {"client": {"id": "nobody"}},
    "extra": {"bogus": 1},
    "role-bad": {"role": "boss"},
    "node-nodevice": {"role": "node"},
    "webchat-ui": {"client": {"id": "webchat-ui", "mode": "webchat"}},
    "control-ui nodevice": {"client": {"id": "openclaw-control-ui", "mode": "ui"}},
    "control-ui badorigin": {"client": {"id": "openclaw-control-ui", "mode": "ui"}, "origin": "https://evil.example"},
    "origin evil cli": {"origin": "https://evil.example"},
}
"""What each client said that was refused, beside the usual."""
LET_IN = {(3, "proto4"), (4, "proto3"), (3, "badclient"), (4, "badclient"), (3, "extra"), (4, "extra")}
"""Refused by them and let in by us: we speak both protocols, and do not mind what the next client will add."""
LIKE: dict[tuple[int, str], tuple[int, str]] = {
    (3, "proto5"): (4, "proto5"),
    (4, "proto2"): (3, "proto2"),
    (3, "control-ui badorigin"): (4, "control-ui badorigin"),
}
"""Answered as by the other version: the one that is nearer to the client, or that looks at the origin at all."""


def test_every_captured_refusal_is_replayed() -> None:
    assert {row["case"] for row in rows("refusals")} == CASES.keys()


@pytest.mark.parametrize("row", rows("refusals"), ids=lambda row: f"v{row['protocol']} {row['case']}")
def test_a_captured_refusal_is_ours(row: dict[str, Any]) -> None:
    protocol, case = row["protocol"], CASES[row["case"]]
    client = {"id": "gateway-client", "version": "1.0", "platform": "linux", "mode": "backend"} | case.get("client", {})
    params = {"minProtocol": protocol, "maxProtocol": protocol, "auth": {"token": "t0k"}, **case, "client": client}
    origin = params.pop("origin", None)
    frame = {"type": "req", "id": row["frame"]["id"], "method": "connect", "params": params}
    outcome = receive_connect(json.dumps(frame), door(origin=origin))
    if (protocol, row["case"]) in LET_IN:
        assert isinstance(outcome, Accepted)
        return
    assert isinstance(outcome, HandshakeRefused) and outcome.text is not None, outcome
    like = LIKE.get((protocol, row["case"]), (protocol, row["case"]))
    expected = next(each for each in rows("refusals") if (each["protocol"], each["case"]) == like)
    ours, theirs = json.loads(outcome.text)["error"], expected["frame"]["error"]
    if protocol == 3 and row["case"] == "control-ui badorigin":
        theirs.pop("details")  # protocol 3 has none
    assert ours == theirs
    assert {"code": outcome.close.code, "reason": outcome.close.reason} == expected["close"]
