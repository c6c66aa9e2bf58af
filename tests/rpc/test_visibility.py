"""What of the config is shown to who may read it and not write it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import files
from gateway.config.fields import FIELDS, SECTIONS
from gateway.config.openclaw import RULES
from gateway.protocol.scopes import ADMIN, READ, WRITE
from gateway.rpc.redaction import REDACTED, redact, restore
from gateway.rpc.visibility import _NAMES, visible
from tests.effort import examples
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer

SECRET = "dragon99-dragon99"
URL = f"https://me:{SECRET}@host.example/v1"
PLACES: list[tuple[str, Any]] = [
    *((f"mcp.servers.x.args.{number}", args) for number, args in enumerate([
        ["--api-key", SECRET], [f"--token={SECRET}"], [f"--url={URL}"], [f"-p{SECRET}"], [SECRET],
    ])),
    *((f"mcp.servers.x.{key}", SECRET) for key in ("command", "cwd", "env.REGION", "headers.X-Own", "token")),
    ("mcp.servers.x.url", f"https://host.example/mcp?api_key={SECRET}"),
    ("mcp.servers.x.url", f"https://host.example/{SECRET}/mcp"),
    ("mcp.servers.x.url", f"https://host.example/mcp#{SECRET}"),
    ("models.providers.x.baseUrl", f"https://host.example/v1?key={SECRET}"),
    ("models.providers.x.baseUrl", f"https://{SECRET}@host.example/v1"),
    ("models.providers.x.baseUrl", URL),
    ("models.providers.x.api", f"https://{SECRET}@host.example/v1"),
    *((f"models.providers.x.{key}", SECRET) for key in ("key", "auth", "apiKey", "headers.Authorization", "notes")),
    *((f"channels.chat.{key}", SECRET) for key in (
        "pass", "pin", "webhook", "webhookUrl", "signing", "signingKey", "dsn", "pat", "hmac", "nsec", "mnemonic",
        "passcode", "otp", "sessionKey", "botToken", "accounts.me.cookie", "anything",
    )),
    ("channels.chat.pin", 42_424_242), ("channels.chat.anything", 42_424_242), ("channels.chat.anything", 4242.4242),
    ("secrets.providers.x.value", SECRET), ("gateway.auth.token", SECRET), ("gateway.auth.password", SECRET),
    ("gateway.auth.trustedProxy.allowUsers", [SECRET]), ("gateway.remote.url", f"wss://{SECRET}@host.example"),
    ("env.vars.A", SECRET), ("hooks.token", SECRET), ("cron.webhookToken", 42_424_242),
]  # fmt: skip
"""The audit's, and some more."""


def planted(path: str, value: Any) -> dict[str, Any]:
    tree: Any = value
    for key in reversed(path.split(".")):
        tree = {key: tree}
    return tree  # type: ignore[no-any-return]


def shown(tmp_path: Path, tree: Any, scope: str = READ, protocol: int = 4) -> str:
    path = tmp_path / "openclaw.json"
    path.write_text(json.dumps(tree, indent=2))
    core = FakeCore(snapshot=files.read(path, {}, tmp_path))
    return json.dumps(call(core, make_peer(protocol, scope), "config.get")["payload"])


@pytest.mark.parametrize("scope", [READ, WRITE])
@pytest.mark.parametrize(("path", "value"), PLACES)
def test_a_reader_sees_no_secret(tmp_path: Path, path: str, value: Any, scope: str) -> None:
    told = shown(tmp_path, planted(path, value), scope)
    assert SECRET not in told and "42424242" not in told and "4242.4242" not in told
    assert REDACTED in told


@pytest.mark.parametrize(("path", "value"), PLACES)
def test_what_is_shown_to_who_writes_is_written_back_as_it_was(path: str, value: Any) -> None:
    tree = planted(path, value)
    assert restore(redact(tree), tree) == tree


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("gateway.port", 18_800), ("gateway.bind", "lan"), ("gateway.mode", "local"), ("gateway.auth.mode", "token"),
        ("gateway.controlUi.basePath", "/ui"), ("logging.file", "/var/log/a.log"), ("session.scope", "global"),
        ("agents.defaults.model", "mock/m1"), ("agents.defaults.model", {"primary": "a/b", "fallbacks": ["c/d"]}),
        ("agents.list", [{"id": "main", "default": True, "model": {"primary": "a/b"}}]),
        ("models.providers.x.models", [{"id": "m", "contextWindow": 9, "reasoning": False, "cost": {"input": 0.5}}]),
        ("channels.chat.enabled", True), ("channels.chat.botToken", "${TOKEN}"), ("ui.assistant.name", "Molty"),
        ("channels.chat.name", ""), ("channels.chat.name", None),
    ],
)  # fmt: skip
def test_what_is_harmless_shows(path: str, value: Any) -> None:
    assert visible(planted(path, value)) == planted(path, value)


@pytest.mark.parametrize(
    "tree",
    [
        {"gateway": {"port": SECRET}}, {"gateway": {"port": 4_242_424_242}}, {"gateway": {"bind": SECRET}},
        {"gateway": SECRET}, {"gateway": [SECRET]}, SECRET, [SECRET], {"gateway.port": SECRET},
        {"gateway": {"controlUi.basePath": SECRET}}, {"agents": {"list": {"id": [{"id": SECRET}]}}},
        {"agents": {"defaults": {"model": {"primary": {"id": SECRET}}}}},
        {"agents": {"defaults": {"model": f"https://x?{SECRET}"}}}, {"session": {"scope": "a" * 201}},
        {"agents": {"defaults": {"contextTokens": SECRET}}}, {"ui": {"assistant": {"name": f"a\n{SECRET}"}}},
    ],
)  # fmt: skip
def test_what_is_not_a_value_of_the_setting_does_not_show(tree: Any) -> None:
    told = json.dumps(visible(tree))
    assert SECRET not in told and "4242424242" not in told and "a" * 201 not in told


OURS = {key for path in (*FIELDS, *SECTIONS) for key in path.split(".") if key}
THEIRS = {str(key) for row in RULES for key in row.keys}
KEYS = sorted(OURS | THEIRS | {"args", "defaults", "id", "list", "model", "name", "providers", "servers", "vars", "x"})
HARMLESS = set(f"{' '.join(_NAMES.values())}".replace(".", " ").split()) - {"*", "models", "identity", "controlUi"}
"""The last keys of free texts that show: a secret there is in the wrong place."""


_secrets = st.text(st.sampled_from("abcdefABCDEF0123456789"), min_size=12, max_size=20).map(
    lambda text: text + "!5ecr3t"
)
_dresses = st.sampled_from(["{}", "a {}", "https://{}@host/", "--token={}"])
_paths = st.sampled_from([tuple(path.split(".")) for path in (*FIELDS, *SECTIONS) if path]) | st.lists(
    st.sampled_from(KEYS), min_size=1, max_size=5
).map(tuple)
_wraps = st.lists(st.sampled_from(["list", "plain", "beside"]), min_size=7, max_size=7)
_beside = st.sampled_from(KEYS)


@st.composite
def somewhere(draw: st.DrawFn) -> tuple[Any, str]:
    """A config with one secret in it, at a path that is not of the harmless ones."""
    secret = draw(_secrets)
    value: Any = draw(_dresses).format(secret)
    path = draw(_paths)
    if HARMLESS.intersection(path):
        path = (*(key for key in path if key not in HARMLESS), "x")
    for key, wrap in zip(reversed(path), draw(_wraps), strict=False):
        value = {key: [value] if wrap == "list" else value}
        value = {draw(_beside): 5, **value} if wrap == "beside" else value
    return value, secret


@settings(max_examples=examples(400), deadline=None)
@given(somewhere())
def test_no_secret_shows_wherever_it_stands(case: tuple[Any, str]) -> None:
    tree, secret = case
    assert secret not in json.dumps(visible(tree))


@settings(max_examples=examples(40), deadline=None)
@given(case=somewhere())
def test_neither_does_the_whole_answer_tell_it(tmp_path_factory: pytest.TempPathFactory, case: tuple[Any, str]) -> None:
    tree, secret = case
    assert secret not in shown(tmp_path_factory.mktemp("config"), tree)


@pytest.mark.parametrize("text", [f'{{gateway: {{port: "{SECRET}"}}}}', f"{{}} // {SECRET}", f"{{a: {SECRET}}}"])
def test_neither_faults_nor_comments_tell(tmp_path: Path, text: str) -> None:
    path = tmp_path / "openclaw.json"
    path.write_text(text)
    for protocol in (3, 4):
        core = FakeCore(snapshot=files.read(path, {}, tmp_path))
        payload = call(core, make_peer(protocol, READ), "config.get")["payload"]
        assert SECRET not in json.dumps(payload) and payload["raw"] is None
    assert call(core, make_peer(4, ADMIN), "config.get")["ok"]
