import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.client import identity as module
from gateway.client.identity import Identity
from gateway.errors import GatewayError
from gateway.protocol.admission.proof import Key

A, B = "ws://10.0.0.1:5", "wss://b.example/x"
FOREIGN = json.loads((Path(__file__).parents[1] / "protocol" / "data" / "device_identity.json").read_text())
"""Made by OpenClaw 2026.2.1."""


def own(state: Path) -> Path:
    return state / "gateway" / "device.json"


def tokens(state: Path) -> Path:
    return state / "gateway" / "device-auth.json"


def key_of(identity: Identity) -> Key:
    assert identity.key is not None
    return identity.key


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_key_is_made_once(tmp_path: Path) -> None:
    made = key_of(Identity(tmp_path, lambda: 5))
    held = json.loads(own(tmp_path).read_text())
    public, private = made.pems()
    assert held == {
        "version": 1, "deviceId": made.id, "publicKeyPem": public, "privateKeyPem": private, "createdAtMs": 5,
    }  # fmt: skip
    assert stat.S_IMODE(own(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(own(tmp_path).parent.stat().st_mode) == 0o700
    assert key_of(Identity(tmp_path)).id == made.id
    assert [path.name for path in own(tmp_path).parent.iterdir()] == ["device.json"]


def test_openclaws_key_is_used_and_left_alone(tmp_path: Path) -> None:
    foreign = tmp_path / "identity" / "device.json"
    write(foreign, json.dumps(FOREIGN))
    assert key_of(Identity(tmp_path)).id == FOREIGN["deviceId"]
    assert json.loads(foreign.read_text()) == FOREIGN
    assert not own(tmp_path).exists()


def test_our_own_key_stays_when_openclaw_makes_one_later(tmp_path: Path) -> None:
    made = key_of(Identity(tmp_path))
    write(tmp_path / "identity" / "device.json", json.dumps(FOREIGN))
    assert key_of(Identity(tmp_path)).id == made.id


def test_nothing_is_written_in_openclaws_folder(tmp_path: Path) -> None:
    """OpenClaw 2026.9.6 does not start where it finds the older release's files."""
    identity = Identity(tmp_path)
    identity.store_token(A, "operator", "t", [])
    assert [path.name for path in tmp_path.iterdir()] == ["gateway"]


def test_of_several_that_make_a_key_one_wins(tmp_path: Path) -> None:
    found: list[str] = []
    ready = threading.Barrier(8)

    def make() -> None:
        identity = Identity(tmp_path)
        ready.wait(10)
        found.append(key_of(identity).id)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and len(found) == 8


ANOTHER_KIND = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"version":2}', "\xff", json.dumps({**FOREIGN, "version": 2}),
     json.dumps({**FOREIGN, "privateKeyPem": "nonsense"}), json.dumps({**FOREIGN, "privateKeyPem": "\ud800"}),
     json.dumps({**FOREIGN, "privateKeyPem": ANOTHER_KIND.decode()}), "[" * 100_000],
)  # fmt: skip
@pytest.mark.parametrize("place", ["gateway/device.json", "identity/device.json"])
def test_a_file_that_is_not_understood_is_never_overwritten(tmp_path: Path, place: str, text: str) -> None:
    write(tmp_path / place, text)
    with pytest.raises(GatewayError, match="move it away") as caught:
        _ = Identity(tmp_path).key
    assert str(tmp_path / place) in str(caught.value)
    assert "nonsense" not in str(caught.value)
    assert (tmp_path / place).read_text() == text


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    own(tmp_path).mkdir(parents=True)
    with pytest.raises(GatewayError, match="cannot read"):
        _ = Identity(tmp_path).key


def test_a_folder_that_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any) -> Any:
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr(module, "create_text", refuse)
    identity = Identity(tmp_path)
    assert identity.key is None and identity.key is None
    assert caplog.messages == [f"cannot write {own(tmp_path)} (Read-only file system): connecting without a device"]
    monkeypatch.undo()
    caplog.clear()
    identity = Identity(tmp_path)
    identity.store_token(A, "operator", "first", [])
    monkeypatch.setattr(module, "replace_text", refuse)
    identity.store_token(A, "operator", "second", [])
    assert "this gateway's token is not kept" in caplog.text and "second" not in caplog.text
    assert identity.token(A, "operator") == "first"


def test_each_gateway_and_role_has_its_token(tmp_path: Path) -> None:
    identity = Identity(tmp_path, lambda: 7)
    identity.store_token(A, "operator", "a", ["z", "y", "y"])
    identity.store_token(B, "operator", "b", [])
    identity.store_token(B, "node", "n", [])
    again = Identity(tmp_path)
    assert [again.token(*which) for which in ((A, "operator"), (B, "operator"), (B, "node"), (A, "node"))] == [
        "a", "b", "n", None,
    ]  # fmt: skip
    assert stat.S_IMODE(tokens(tmp_path).stat().st_mode) == 0o600
    assert json.loads(tokens(tmp_path).read_text())["gateways"][A] == {
        "operator": {"token": "a", "role": "operator", "scopes": ["y", "z"], "updatedAtMs": 7}
    }
    identity.drop_token(B, "operator", "not this one")
    identity.drop_token(B, "operator", "b")
    identity.drop_token(A, "operator", "a")
    assert again.token(B, "operator") is None and again.token(B, "node") == "n"
    assert list(json.loads(tokens(tmp_path).read_text())["gateways"]) == [B]


@pytest.mark.parametrize(
    ("url", "same"),
    [("ws://10.0.0.1:5/", True), ("ws://u:p@10.0.0.1:5?x=1", True), ("wss://10.0.0.1:5", False),
     ("ws://10.0.0.1:6", False), ("ws://10.0.0.1:5/other", False)],
)  # fmt: skip
def test_an_address_has_one_spelling(tmp_path: Path, url: str, same: bool) -> None:
    identity = Identity(tmp_path)
    identity.store_token(A, "operator", "a", [])
    assert (identity.token(url, "operator") == "a") is same


def test_the_same_token_is_not_written_again(tmp_path: Path) -> None:
    identity = Identity(tmp_path)
    identity.store_token(A, "operator", "a", [])
    before = tokens(tmp_path).stat().st_ino
    identity.store_token(A, "operator", "a", ["more"])
    assert tokens(tmp_path).stat().st_ino == before


def test_tokens_of_another_key_are_worth_nothing(tmp_path: Path) -> None:
    Identity(tmp_path).store_token(A, "operator", "a", [])
    own(tmp_path).unlink()
    identity = Identity(tmp_path)
    assert identity.token(A, "operator") is None
    identity.store_token(B, "operator", "b", [])
    assert list(json.loads(tokens(tmp_path).read_text())["gateways"]) == [B]


def test_tokens_that_are_not_understood_are_never_overwritten(tmp_path: Path) -> None:
    write(tokens(tmp_path), '{"version":9}')
    with pytest.raises(GatewayError, match="move it away"):
        Identity(tmp_path).store_token(A, "operator", "a", [])
    assert tokens(tmp_path).read_text() == '{"version":9}'


@pytest.mark.process
def test_who_shows_no_device_imports_nothing_for_it() -> None:
    code = "import sys, gateway.cli.call, gateway.client.client, gateway.client.identity; "
    code += "print({'cryptography', 'nacl'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
