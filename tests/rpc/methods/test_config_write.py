import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.config import clobber, files
from gateway.config.fingerprint import fingerprint
from gateway.config.secretsources import Sources
from gateway.hub.connection import Connection
from gateway.protocol.frames import RpcError
from gateway.protocol.scopes import ADMIN
from gateway.report import ReloadResult
from gateway.rpc.methods.config import config_get
from gateway.rpc.methods.config_write import ApplyParams, ConfigSetParams, config_apply, config_patch, config_set
from gateway.rpc.registry import Call
from tests.carrier import FakeCarrier
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer

METHODS = (config_get, config_set, config_apply, config_patch)
REDACTED = "__OPENCLAW_REDACTED__"
TEXT = """// mine
{
  gateway: {
    port: 18800, // the port
    auth: { token: 't0k-t0k' },
  },
  agents: { list: [{ id: "a", apiKey: "key-a" }, { id: "b", apiKey: "key-b" }], /* all */ },
  hosts: ["x", "y"],
}
"""
HOT = ReloadResult("hot", "applied hot: logging.level")
RESTART = ReloadResult("restart", "config change requires gateway restart (gateway.port): as soon as it is idle")


class Written:
    """A config file, and a gateway that reads it."""

    def __init__(self, folder: Path, text: str | None = TEXT) -> None:
        self.path = folder / "openclaw.json"
        if text is not None:
            self.path.write_text(text)
            self.path.chmod(0o600)
        self.core = FakeCore(snapshot=files.read(self.path, {}, folder), reloaded=HOT)

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def hash(self) -> str:
        return fingerprint(self.core.paths.state, hashlib.sha256(self.path.read_bytes()).hexdigest())

    def call(self, name: str, raw: str, protocol: int = 4, **params: Any) -> dict[str, Any]:
        params = {"raw": raw, "baseHash": self.hash if self.path.exists() else None, **params}
        params = {key: value for key, value in params.items() if value is not None}
        return call(self.core, make_peer(protocol, ADMIN), name, params, METHODS)

    def ok(self, name: str, raw: str, protocol: int = 4, **params: Any) -> dict[str, Any]:
        frame = self.call(name, raw, protocol, **params)
        assert frame["ok"], frame
        payload: dict[str, Any] = frame["payload"]
        return payload

    def refused(self, name: str, raw: str, protocol: int = 4, **params: Any) -> dict[str, Any]:
        """The error; the file must be as before."""
        before = self.text if self.path.exists() else None
        frame = self.call(name, raw, protocol, **params)
        assert not frame["ok"] and (self.text if self.path.exists() else None) == before
        assert self.core.asked == []
        error: dict[str, Any] = frame["error"]
        return error


@pytest.fixture
def place(tmp_path: Path) -> Written:
    return Written(tmp_path)


def test_a_patch_changes_what_it_names_and_nothing_else(place: Written) -> None:
    answer = place.ok("config.patch", "{gateway: {port: 18900}, logging: {level: 'debug'}}")
    wanted = TEXT.replace("18800", "18900").replace('"y"],\n', '"y"],\n  logging: {\n    "level": "debug"\n  },\n')
    assert place.text == wanted
    assert answer["changedPaths"] == ["gateway.port", "logging.level"]
    assert answer["hash"] == place.hash
    assert answer["config"]["gateway"]["port"] == 18900
    assert "t0k-t0k" not in json.dumps(answer)
    assert place.core.asked == ["reload rpc"]
    assert place.path.with_name("openclaw.json.bak").read_text() == TEXT


BIG = "{gateway: {mode: 'local'}, env: {vars: {" + ", ".join(f"V{n}: 'value'" for n in range(60)) + "}}}"


@pytest.mark.parametrize(
    ("name", "raw", "lost"),
    [
        ("config.patch", "{gateway: {mode: null}}", "gateway-mode-removed"),
        ("config.patch", "{env: null}", "size-drop:1388->43"),
        ("config.set", "{worktreeRoot: 's3cret'}", "size-drop:1388->31, gateway-mode-removed"),
    ],
)
@pytest.mark.parametrize("protocol", [3, 4])
def test_a_write_that_loses_much_is_refused_and_kept(
    tmp_path: Path, name: str, raw: str, lost: str, protocol: int
) -> None:
    place = Written(tmp_path, BIG)
    error = place.refused(name, raw, protocol)
    (aside,) = tmp_path.glob("openclaw.json.rejected.*")
    assert error["code"] == "UNAVAILABLE"
    assert error["message"] == (
        f"Config write rejected: {place.path} ({lost}). Rejected payload saved to {aside}. "
        "If it is meant, edit the file."
    )
    reasons = lost.split(", ")
    assert error["details"] == {"code": "CONFIG_WRITE_REJECTED", "reasons": reasons, "rejectedPath": str(aside)}
    if name == "config.set":
        assert aside.read_text() == raw


def test_a_refused_write_that_cannot_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    place = Written(tmp_path, BIG)
    monkeypatch.setattr(clobber, "set_aside", full)
    error = place.refused("config.patch", "{env: null}")
    assert "Rejected payload could not be saved: No space left on device." in error["message"]
    assert "rejectedPath" not in error["details"]


@pytest.mark.parametrize("name", ["config.set", "config.apply", "config.patch"])
@pytest.mark.parametrize("protocol", [3, 4])
def test_both_conflicts(place: Written, name: str, protocol: int) -> None:
    missing = place.refused(name, "{a: 1}", protocol, baseHash=None)
    assert missing == {"code": "INVALID_REQUEST", "message": "config base hash required; re-run config.get and retry"}
    other = place.refused(name, "{a: 1}", protocol, baseHash=hashlib.sha256(place.path.read_bytes()).hexdigest())
    assert other["message"] == "config changed since last load; re-run config.get and retry"


def test_a_port_that_is_open_to_others_keeps_its_secret(place: Written) -> None:
    place.core.reachable = ("192.0.2.7:18789",)
    error = place.refused("config.patch", "{gateway: {auth: {mode: 'none'}}}")
    assert error["details"]["issues"][0]["path"] == "gateway.auth.mode"
    assert "192.0.2.7:18789 without auth" in error["details"]["issues"][0]["message"]
    place.core.reachable = ()
    place.ok("config.patch", "{gateway: {auth: {mode: 'none'}}}")


def test_a_first_file_needs_no_hash(tmp_path: Path) -> None:
    place = Written(tmp_path, None)
    place.ok("config.patch", "{gateway: {port: 18801}}")
    assert place.text == '{\n  "gateway": {\n    "port": 18801\n  }\n}\n'
    assert place.path.stat().st_mode & 0o777 == 0o600


def test_a_patch_is_an_object(place: Written) -> None:
    assert place.refused("config.patch", "[1]")["message"] == "config.patch raw must be an object"


@pytest.mark.parametrize(("protocol", "message"), [(3, "invalid config"), (4, "invalid config: gateway.port: ")])
def test_an_invalid_config_is_not_written(place: Written, protocol: int, message: str) -> None:
    error = place.refused("config.patch", "{gateway: {port: 0}, logging: {level: 'loud'}}", protocol)
    assert error["message"].startswith(message) and (protocol == 4 or error["message"] == message)
    assert [each["path"] for each in error["details"]["issues"]] == ["gateway.port", "logging.level"]


def test_a_file_with_a_fault_in_its_syntax_takes_no_patch_but_a_new_text(tmp_path: Path) -> None:
    place = Written(tmp_path, "{a: }")
    assert "not valid JSON5" in place.refused("config.patch", "{a: 1}")["message"]
    place.ok("config.set", "{ui: {}}")
    assert place.text == "{ui: {}}"


@pytest.mark.parametrize(
    ("raw", "where", "what"),
    [
        ("{zzz: {a: 1}}", "<root>", 'Unrecognized key: "zzz"'),
        ("{agents: {main: {tools: {deny: ['browser']}}}}", "agents", 'Unrecognized key: "main"'),
        ("{gateway: {reload: {a: 1, b: 2}}}", "gateway.reload", 'Unrecognized keys: "a", "b"'),
    ],
)
def test_a_key_that_nobody_knows_is_not_written(place: Written, raw: str, where: str, what: str) -> None:
    for name in ("config.patch", "config.set", "config.apply"):
        error = place.refused(name, raw)
        assert (error["code"], error["message"]) == ("INVALID_REQUEST", f"invalid config: {where}: {what}")
        assert error["details"]["issues"][0] == {"path": where, "message": what}


def test_keys_that_stood_there_or_are_openclaws_or_ours_are_written(place: Written) -> None:
    place.ok("config.patch", "{hosts: ['x', 'y', 'z']}")
    place.ok("config.patch", "{channels: {telegram: {enabled: true}}, gateway: {reload: {debounceMs: 100}}}")
    place.ok("config.patch", "{messages: {tts: {auto: 'off'}}}", protocol=3)
    place.core.asked.clear()
    assert "canvasHost" in place.refused("config.patch", "{canvasHost: {enabled: false}}")["message"]


def test_what_a_client_was_shown_and_sends_back_brings_nothing_of_ours(place: Written) -> None:
    """As clients' documentation tells them: `config.get`, a change, `config.set` of all of it."""
    shown = call(place.core, make_peer(4, ADMIN), "config.get", {}, METHODS)["payload"]["config"]
    place.ok("config.set", json.dumps(shown))
    assert files.read(place.path, {}).parsed == place.core.snapshot.parsed


PARTS = {
    "gateway": "{\n  // the port\n  port: 18800,\n}\n",
    "logging": '{ level: "info" } // logs',
    "agents": "{ entries: { main: { name: 'M' } } } // agents",
    **dict.fromkeys(("tts", "ui", "cron", "hooks", "skills"), "{}"),
}


@pytest.fixture
def parts(tmp_path: Path) -> Written:
    """A config that is nothing but includes, one of them a link."""
    for name, text in PARTS.items():
        (tmp_path / f"{name}.json5").write_text(text)
    (tmp_path / "real.json5").write_text("{ scope: 'global' } // session")
    (tmp_path / "session.json5").symlink_to("real.json5")
    lines = [f"  {name}: {{ $include: './{name}.json5' }}, // {name}" for name in (*PARTS, "session")]
    return Written(tmp_path, "\n".join(["{", *lines, "}", ""]))


def test_a_patch_goes_into_the_file_that_has_the_key(parts: Written) -> None:
    before, folder = parts.text, parts.path.parent
    patch = "{gateway: {port: 18900}, logging: {level: 'debug'}, session: {scope: 'per-sender'}}"
    answer = parts.ok("config.patch", patch)
    assert answer["changedPaths"] == ["gateway.port", "logging.level", "session.scope"]
    assert parts.text == before
    assert (folder / "gateway.json5").read_text() == PARTS["gateway"].replace("18800", "18900")
    assert (folder / "logging.json5").read_text() == '{ level: "debug" } // logs'
    assert (folder / "session.json5").is_symlink()
    assert (folder / "real.json5").read_text() == '{ scope: "per-sender" } // session'


@pytest.mark.parametrize("name", ["config.set", "config.apply"])
def test_what_a_client_sends_back_as_a_whole_goes_into_its_files(parts: Written, name: str) -> None:
    before = parts.text
    shown = call(parts.core, make_peer(4, ADMIN), "config.get", {}, METHODS)["payload"]["config"]
    shown["agents"]["entries"]["main"]["name"] = "Sam"
    parts.ok(name, json.dumps(shown))
    assert parts.text == before
    told = (parts.path.parent / "agents.json5").read_text()
    assert told == '{ entries: { main: { name: "Sam" } } } // agents'


@pytest.mark.parametrize(
    ("text", "patch", "named"),
    [
        ("{$include: ['./a.json', './b.json']}", "{bindings: []}", "a.json"),
        ("{tts: {$include: './a.json'}, ui: {$include: './a.json'}}", "{tts: {assistant: {name: 'x'}}}", "a.json"),
        ("{bindings: [{$include: './b.json'}]}", "{bindings: null}", "openclaw.json"),
        ("{tts: {$include: '../out/c.json'}}", "{tts: {auto: 'off'}}", "c.json"),
        ("{tts: {$include: './gone.json'}}", "{tts: {auto: 'off'}}", "gone.json"),
    ],
)
def test_what_no_file_has_alone_is_refused_with_its_name(
    tmp_path: Path, text: str, patch: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    out.mkdir()
    monkeypatch.setenv("OPENCLAW_INCLUDE_ROOTS", str(out))
    for folder, name, part in (
        (home, "a", "bindings: [1], assistant: {}"),
        (home, "b", "bindings: [2]"),
        (out, "c", ""),
    ):
        (folder / f"{name}.json").write_text(f"{{{part}}}")
    place = Written(home, text)
    assert named in place.refused("config.patch", patch, replacePaths=["bindings"])["message"]


def test_an_empty_patch_needs_no_hash_and_writes_nothing(place: Written) -> None:
    answer = place.ok("config.patch", "{}", baseHash=None)
    assert (answer["ok"], answer["noop"], answer["changedPaths"]) == (True, True, [])
    assert place.core.asked == [] and not place.path.with_name("openclaw.json.bak").exists()


def test_a_patch_to_what_is_there_already_writes_nothing(place: Written) -> None:
    assert place.ok("config.patch", "{gateway: {port: 18800}}")["noop"] is True
    assert place.text == TEXT and place.core.asked == []


def test_placeholders_are_the_secrets_of_the_file(place: Written) -> None:
    shown = call(place.core, make_peer(4, ADMIN), "config.get", {}, METHODS)["payload"]["parsed"]
    shown["agents"]["list"].reverse()
    shown["gateway"]["port"] = 18900
    place.ok("config.set", "// new\n" + json.dumps(shown))
    found = files.read(place.path, {}).parsed
    assert found["gateway"] == {"port": 18900, "auth": {"token": "t0k-t0k"}}
    assert found["agents"]["list"] == [{"id": "b", "apiKey": "key-b"}, {"id": "a", "apiKey": "key-a"}]
    assert place.text.startswith("// new\n") and REDACTED not in place.text


def test_a_placeholder_in_a_patch_changes_nothing(place: Written) -> None:
    entry = {"id": "b", "apiKey": REDACTED, "n": 1}
    place.ok("config.patch", json.dumps({"gateway": {"auth": {"token": REDACTED}}, "agents": {"list": [entry]}}))
    assert files.read(place.path, {}).parsed["agents"]["list"] == [
        {"id": "a", "apiKey": "key-a"},
        {"id": "b", "apiKey": "key-b", "n": 1},
    ]


@pytest.mark.parametrize("name", ["config.set", "config.patch"])
def test_a_placeholder_without_a_secret_is_refused_with_its_path(place: Written, name: str) -> None:
    error = place.refused(name, json.dumps({"talk": {"apiKey": REDACTED}}))
    assert error["message"].startswith("invalid config: talk.apiKey: ")
    assert [each["path"] for each in error["details"]["issues"]] == ["talk.apiKey"]


def test_a_secret_from_the_environment_stays_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", "from-outside")
    place = Written(tmp_path, "{}")
    answer = place.ok("config.set", json.dumps({"gateway": {"auth": {"token": REDACTED}, "port": 18801}}))
    assert json.loads(place.text) == {"gateway": {"auth": {}, "port": 18801}}
    assert answer["config"]["gateway"] == {"auth": {}, "port": 18801}


def test_a_new_protocol_keeps_entries_and_an_old_one_replaces(place: Written) -> None:
    error = place.refused("config.patch", '{hosts: ["x"]}')
    assert error["message"].startswith("invalid config: hosts: ") and "replacePaths" in error["message"]
    assert place.ok("config.patch", '{hosts: ["x"]}', replacePaths=["hosts"])["changedPaths"] == ["hosts"]
    place.ok("config.patch", "{hosts: []}", 3)
    assert files.read(place.path, {}).parsed["hosts"] == []


def test_protocol_4_is_told_whether_a_restart_is_due(place: Written) -> None:
    answer = place.ok("config.patch", "{logging: {level: 'debug'}}", note="n1", sessionKey="agent:main:main")
    assert answer["reload"] == {"outcome": "hot", "message": HOT.message}
    payload = answer["sentinel"]["payload"]
    assert (payload["kind"], payload["message"], payload["sessionKey"]) == ("config-patch", "n1", "agent:main:main")
    assert payload["stats"] == {"mode": "config.patch", "root": str(place.path), "requiresRestart": False}
    place.core.reloaded = RESTART
    answer = place.ok("config.patch", "{gateway: {port: 18801}}")
    assert answer["sentinel"]["payload"]["stats"]["requiresRestart"] is True
    assert "restart" not in answer


def test_protocol_3_is_told_of_the_restart(place: Written) -> None:
    assert place.ok("config.patch", "{logging: {level: 'debug'}}", 3)["restart"] is None
    place.core.reloaded = RESTART
    answer = place.ok("config.apply", "{gateway: {port: 18801}}", 3, restartDelayMs=500)
    restart = answer["restart"]
    assert (restart["ok"], restart["reason"], restart["mode"]) == (True, "config.apply", "emit")
    assert restart["pid"] > 0 and restart["delayMs"] == 0
    assert answer["sentinel"]["payload"]["stats"] == {"mode": "config.apply", "root": str(place.path)}
    assert {"hash", "changedPaths", "noop"}.isdisjoint(answer)


@pytest.mark.parametrize(("protocol", "keys"), [(3, set()), (4, {"hash", "changedPaths"})])
def test_set_answers_with_little(place: Written, protocol: int, keys: set[str]) -> None:
    answer = place.ok("config.set", "{gateway: {port: 18801} /* c */}", protocol)
    assert answer.keys() == {"ok", "path", "config", "reload"} | keys
    assert place.text == "{gateway: {port: 18801} /* c */}"


@pytest.mark.parametrize("name", ["config.set", "config.apply", "config.patch"])
def test_writing_needs_the_scope(place: Written, name: str) -> None:
    frame = call(place.core, make_peer(4, "operator.write"), name, {"raw": "{}"}, METHODS)
    assert frame["error"]["message"] == "missing scope: operator.admin"


def test_writers_take_turns_and_one_that_leaves_still_writes(place: Written) -> None:
    peer = make_peer(4, ADMIN)
    who = Call(place.core, Connection("conn", "127.0.0.1:1", FakeCarrier(), peer=peer), peer)

    async def scenario() -> list[Any]:
        hash = place.hash
        leaving = asyncio.create_task(config_set.handler(who, ConfigSetParams("{ui: {}}", hash)))
        late = asyncio.create_task(config_apply.handler(who, ApplyParams("{tts: {}}", hash)))
        await asyncio.sleep(0)
        leaving.cancel()
        return await asyncio.gather(leaving, late, return_exceptions=True)

    left, refused = asyncio.run(scenario())
    assert isinstance(left, asyncio.CancelledError)
    assert isinstance(refused, RpcError) and refused.wire.message.startswith("config changed since last load")
    assert place.text == "{ui: {}}" and place.core.asked == ["reload rpc"]


def test_programs_are_asked_for_their_secrets_once_in_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Asked(Sources):
        def __call__(self, each: Any) -> Any:
            asked.append(each)
            return super().__call__(each)

    key = "{source: 'file', provider: 'f', id: '/a'}"
    text = "{secrets: {providers: {f: {source: 'file', path: '/no.json'}}}, models: {providers: {p: {apiKey: " + key
    place = Written(tmp_path, text + "}}}}")
    monkeypatch.setattr(files, "Sources", Asked)
    place.ok("config.patch", "{logging: {level: 'debug'}}")
    assert len(asked) == 1
