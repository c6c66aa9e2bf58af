"""Config files that this gateway writes, before the validator of OpenClaw itself; and the keys that it knows.

`python -m conformance.configs` writes `gateway/config/openclaw-*.keys` again from the releases' own schemas.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).parents[1]))

from conformance.clients import CLIENTS, LIMIT_SECONDS, PROJECT, Client, environment, install
from conformance.verdict import Run
from gateway.config import files, migration
from gateway.config.fingerprint import fingerprint
from gateway.config.vocabulary import FIRST, LATEST
from gateway.protocol.scopes import ADMIN
from gateway.report import ReloadResult
from tests.fakes.core import PATHS, FakeCore
from tests.rpc.calls import call, make_peer

WRITTEN = '{ gateway: { mode: "local", port: 18789, auth: { mode: "token", token: "t0k" } } }'
FORMER = """{
  agent: { model: "anthropic/claude-opus-4-5", workspace: "~/clawd", modelFallbacks: ["openai/gpt-5.2"] },
  identity: { name: "Sam" },
  agents: { list: [{ id: "sam" }, { id: "work", name: "Work" }] },
  gateway: { mode: "local", token: "t0k" },
  telegram: { botToken: "123:abc" },
  mcpServers: { files: { command: "npx", args: ["-y", "server"], disabled: true } },
  env: { OPENAI_API_KEY: "sk" },
}
"""
SCHEMA = "import('{place}').then((m) => console.log(JSON.stringify(m.buildConfigSchema().schema)))"


def check(client: Client, home: Path) -> Iterator[Run]:
    """What OpenClaw's `config validate` says, and whether the keys are still those of its schema."""
    for name, text in written(home / "written").items():
        yield _validate(client, f"config validate ({name})", home / "validated", text)
    began, known = time.monotonic(), _file(client.version).read_text()
    same = known == keys(_schema(client, home))
    note = "" if same else "the keys are others; run: python -m conformance.configs"
    yield Run(client.version, "config schema", 0, time.monotonic() - began, "compared", "", note)


def keys(schema: dict[str, Any]) -> str:
    """The keys, as `gateway/config/vocabulary` reads them."""
    tree = _tree(schema)
    return "".join(f"{key}\t{json.dumps(tree[key], separators=(',', ':'), sort_keys=True)}\n" for key in sorted(tree))


def written(folder: Path) -> dict[str, str]:
    """Files by what wrote them; each of `folder`'s own folders has one."""
    return {
        "config.set of config.get": _sent_back(folder / "sent"),
        "agents.create": _with_an_agent(folder / "agent"),
        "config migrate": migration.migrate(FORMER).text,
    }


def _sent_back(folder: Path) -> str:
    """Change one key by writing the whole config, as clients do."""
    core = _core(folder)
    shown = _call(core, "config.get", {})["config"]
    shown["logging"] = {"level": "debug"}
    hash = fingerprint(core.paths.state, core.snapshot.raw_hash)
    _call(core, "config.set", {"raw": json.dumps(shown), "baseHash": hash})
    return core.paths.config.read_text()


def _with_an_agent(folder: Path) -> str:
    """Made, and then given another name and model."""
    params = {"name": "My Helper", "emoji": "\N{FOX FACE}", "workspace": str(folder / "helper")}
    made = _call(_core(folder), "agents.create", params)
    core = _core(folder, folder.joinpath("openclaw.json").read_text())
    _call(core, "agents.update", {"agentId": made["agentId"], "name": "Helper", "model": "builtin/echo"})
    return core.paths.config.read_text()


def _core(folder: Path, text: str = WRITTEN) -> FakeCore:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "openclaw.json"
    path.write_text(text)
    path.chmod(0o600)
    paths = replace(PATHS, config=path, state=folder)
    return FakeCore(paths=paths, snapshot=files.read(path, {}, folder), reloaded=ReloadResult("hot", "applied"))


def _call(core: FakeCore, name: str, params: dict[str, Any]) -> dict[str, Any]:
    answer = call(core, make_peer(4, ADMIN), name, params)
    if not answer["ok"]:
        raise RuntimeError(f"{name} is refused: {answer['error']}")
    payload: dict[str, Any] = answer["payload"]
    return payload


def _validate(client: Client, command: str, home: Path, text: str) -> Run:
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "openclaw.json").write_text(text)
    began = time.monotonic()
    done = _run(client.words("config validate"), home)
    return Run(client.version, command, done.returncode, time.monotonic() - began, done.stdout, done.stderr)


def _schema(client: Client, home: Path) -> Any:
    if client.version == FIRST:
        place = client.package / "dist" / "config" / "schema.js"
        done = _run([str(client.interpreter), "-e", SCHEMA.replace("{place}", str(place))], home)
    else:
        done = _run(client.words("config schema"), home)
    return json.loads(done.stdout)


def _run(words: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    env = environment(home) | {"NO_COLOR": "1", "TERM": "dumb"}
    return subprocess.run(words, env=env, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)


def _tree(node: Any) -> Any:
    """0: a value; 1: anything; an object has its keys, `*` for any other one and `[]` for an array's items."""
    if node is True or not set(node) - {"title", "description", "default", "tags", "help", "label"}:
        return 1
    found: Any = 0
    for part in (*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())):
        found = _either(found, _tree(part))
    kinds = node.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    items = _tree(node["items"]) if isinstance(node.get("items"), dict) else 0
    if items:
        found = _either(found, {"[]": items})
    if "object" in kinds or "properties" in node:
        own = {key: _tree(child) for key, child in node.get("properties", {}).items()}
        more = node.get("additionalProperties")
        if more is not False:
            own["*"] = _tree(more) if isinstance(more, dict) and more else 1
        found = _either(found, own)
    return found


def _either(one: Any, other: Any) -> Any:
    if 1 in (one, other):
        return 1
    if not isinstance(one, dict) or not isinstance(other, dict):
        return one or other
    both = {key: _either(one[key], other[key]) for key in one.keys() & other.keys()}
    return {**one, **other, **both}


def _file(release: str) -> Path:
    return PROJECT / "gateway" / "config" / f"openclaw-{release}.keys"


def main() -> None:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="conformance-", dir="/tmp") as home:
        for client in CLIENTS:
            if client.version in (FIRST, LATEST):
                install(client)
                _file(client.version).write_text(keys(_schema(client, Path(home))))


if __name__ == "__main__":
    main()
