import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.admission.proof import (
    DeviceProof,
    Key,
    Signed,
    decode,
    is_key,
    normalise_key,
    payloads,
    signs,
    verify,
)
from gateway.protocol.frames import WireError

DATA = Path(__file__).parents[1] / "data"
CAPTURED = json.loads((DATA / "device_proofs.json").read_text())
EDGES = json.loads((DATA / "ed25519_edges.json").read_text())
"""Keys and signatures for the message "hello", made by the curve's arithmetic where verifiers have disagreed."""
NEUTRAL = bytes([1, *[0] * 31])
"""The spelling of the neutral point."""
NOW = 1_795_340_000_000
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
RAW = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
ID = hashlib.sha256(RAW).hexdigest()
SIGNED = Signed("cli", "cli", "operator", ("operator.read", "operator.write"), "t0k", " Linux ", "ÄPfel")


def spell(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def make_proof(version: str = "v2", nonce: str | None = "n", **more: Any) -> DeviceProof:
    bare = DeviceProof(ID, spell(RAW), "", NOW, nonce)
    candidates = payloads(bare, SIGNED, nonce or "", 3)
    text = next(text for text in candidates if text.startswith(version))
    return msgspec.structs.replace(bare, **{"signature": spell(KEY.sign(text.encode())), **more})


def check(proof: DeviceProof, protocol: int = 3, local: bool = False, now_ms: int = NOW) -> WireError | None:
    return verify(proof, SIGNED, protocol=protocol, challenge="n", now_ms=now_ms, local=local)


@pytest.mark.parametrize("name", CAPTURED)
def test_captured_proof(name: str) -> None:
    frame = CAPTURED[name]
    connect = frame["connect"]
    proof = msgspec.convert(connect["device"], DeviceProof)
    client = connect["client"]
    signed = Signed(
        client["id"], client["mode"], connect["role"], tuple(connect["scopes"]), connect["auth"]["token"],
        client["platform"], client.get("deviceFamily", ""),
    )  # fmt: skip
    facts: dict[str, Any] = {"challenge": frame["nonce"], "now_ms": proof.signed_at + 5, "local": True}
    protocol = connect["maxProtocol"]
    assert verify(proof, signed, protocol=protocol, **facts) is None
    for field, other in {"role": "node", "token": "t1k", "scopes": ("operator.admin",), "client_mode": "ui"}.items():
        changed = Signed(**{**signed.__dict__, field: other})
        error = verify(proof, changed, protocol=protocol, **facts)
        assert error is not None and error.message == "device signature invalid", field


def test_payloads_are_as_documented() -> None:
    proof = DeviceProof("id", "", "", 5, "n")
    who = "id|cli|cli|operator|operator.read,operator.write|5|t0k"
    v2, v3 = f"v2|{who}|n", f"v3|{who}|n|linux|ÄPfel".replace("Pfel", "pfel")
    assert payloads(proof, SIGNED, "n", 3) == [v2, v3]
    assert payloads(proof, SIGNED, "n", 4) == [v3, v2]
    assert payloads(proof, SIGNED, "", 3) == [f"v1|{who}"]


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("version", ["v2", "v3"])
def test_both_versions_are_taken_from_both(protocol: int, version: str) -> None:
    assert check(make_proof(version), protocol) is None


@pytest.mark.parametrize("key", [spell(RAW) + "=", base64.b64encode(RAW).decode(),
    KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()])  # fmt: skip
def test_a_key_may_be_spelled_otherwise(key: str) -> None:
    assert check(make_proof(public_key=key)) is None
    assert normalise_key(key) == spell(RAW)


@pytest.mark.parametrize(
    ("nonce", "protocol", "local", "message"),
    [
        (None, 3, True, None),
        ("", 3, True, None),
        (None, 3, False, "device nonce required"),
        (None, 4, True, "device nonce required"),
        ("other", 3, True, "device nonce mismatch"),
        ("other", 4, False, "device nonce mismatch"),
    ],
)
def test_nonce(nonce: str | None, protocol: int, local: bool, message: str | None) -> None:
    version = "v2" if nonce else "v1"
    error = check(make_proof(version, nonce), protocol, local)
    assert (error.message if error else None) == message


@pytest.mark.parametrize(("protocol", "minutes"), [(3, 10), (4, 2)])
def test_skew(protocol: int, minutes: int) -> None:
    for sign in (1, -1):
        assert check(make_proof(), protocol, now_ms=NOW + sign * minutes * 60_000) is None
        error = check(make_proof(), protocol, now_ms=NOW + sign * (minutes * 60_000 + 1))
        assert error is not None and error.message == "device signature expired"


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"id": "0" * 64}, "device identity mismatch", "DEVICE_AUTH_DEVICE_ID_MISMATCH"),
    ({"id": ID.upper()}, "device identity mismatch", "DEVICE_AUTH_DEVICE_ID_MISMATCH"),
    ({"public_key": "%"}, "device identity mismatch", "DEVICE_AUTH_DEVICE_ID_MISMATCH"),
    ({"public_key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"},
     "device identity mismatch", "DEVICE_AUTH_DEVICE_ID_MISMATCH"),
    ({"signed_at": 5}, "device signature expired", "DEVICE_AUTH_SIGNATURE_EXPIRED"),
    ({"nonce": None}, "device nonce required", "DEVICE_AUTH_NONCE_REQUIRED"),
    ({"nonce": "m"}, "device nonce mismatch", "DEVICE_AUTH_NONCE_MISMATCH"),
    ({"id": hashlib.sha256(b"short").hexdigest(), "public_key": spell(b"short")},
     "device public key invalid", "DEVICE_AUTH_PUBLIC_KEY_INVALID"),
    ({"signature": spell(b"s" * 64)}, "device signature invalid", "DEVICE_AUTH_SIGNATURE_INVALID"),
    ({"signature": "AAAA"}, "device signature invalid", "DEVICE_AUTH_SIGNATURE_INVALID"),
    ({"signature": "%"}, "device signature invalid", "DEVICE_AUTH_SIGNATURE_INVALID"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message", "code"), WRONG)
def test_each_fault_has_its_words(change: dict[str, Any], message: str, code: str) -> None:
    proof = msgspec.structs.replace(make_proof(), **change)
    assert check(proof, 3) == WireError("INVALID_REQUEST", message)
    error = check(proof, 4)
    assert error is not None and error.message == message and error.details is not None
    assert error.details["code"] == code


def test_lengths_are_bounded() -> None:
    for field in ("id", "publicKey", "signature", "nonce"):
        wire = {"id": "a", "publicKey": "b", "signature": "c", "signedAt": 1, "nonce": "d", field: "x" * 2000}
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wire, DeviceProof)


ANY = st.text(st.characters(), max_size=60) | st.just("-----BEGIN") | st.just("\ud800")


@given(ANY, ANY, ANY, ANY, st.integers(), st.sampled_from([3, 4]), st.booleans())
def test_nothing_raises(id: str, key: str, signature: str, nonce: str, at: int, protocol: int, local: bool) -> None:
    signed = Signed(id, key, signature, (nonce, id), key, nonce, signature)
    error = verify(
        DeviceProof(id, key, signature, at, nonce), signed, protocol=protocol, challenge=nonce, now_ms=at, local=local
    )
    assert error is not None and error.message.startswith("device ")
    raw = RAW[:31] + bytes([at % 256])
    proof = DeviceProof(hashlib.sha256(raw).hexdigest(), spell(raw), signature, at, nonce)
    error = verify(proof, signed, protocol=protocol, challenge=nonce, now_ms=at, local=local)
    assert error is not None


@given(ANY)
def test_keys_and_base64_never_raise(text: str) -> None:
    assert normalise_key(text) is None or len(decode(text) or b"") == 32


@given(st.builds(Signed, *[st.text()] * 3, st.lists(st.text()).map(tuple), *[st.text()] * 3), st.sampled_from([3, 4]))
def test_what_we_sign_is_verified(signed: Signed, protocol: int) -> None:
    proof = Key(KEY).prove(signed, protocol=protocol, nonce="n", signed_at=NOW)
    assert (proof.id, proof.public_key) == (ID, spell(RAW))
    assert verify(proof, signed, protocol=protocol, challenge="n", now_ms=NOW, local=False) is None
    error = verify(proof, signed, protocol=protocol, challenge="m", now_ms=NOW, local=False)
    assert error is not None and error.message == "device nonce mismatch"


@pytest.mark.parametrize(("protocol", "version"), [(3, "v2"), (4, "v3")])
def test_we_sign_what_the_protocol_has(protocol: int, version: str) -> None:
    proof = Key(KEY).prove(SIGNED, protocol=protocol, nonce="n", signed_at=NOW)
    assert proof == make_proof(version)


def test_a_key_and_its_pem() -> None:
    key = Key.generate()
    public, private = key.pems()
    assert normalise_key(public) == key.public
    assert Key.from_pem(private).id == key.id
    assert key.id not in repr(key) and private not in repr(key)


ENCRYPTED = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()


@pytest.mark.parametrize("text", ["", "nonsense", Key(KEY).pems()[0], ENCRYPTED])
def test_a_pem_that_holds_no_private_key(text: str) -> None:
    with pytest.raises(ValueError):
        Key.from_pem(text)


def points(order: int = 8) -> set[bytes]:
    """All spellings of the points of the curve whose order divides this, from the curve's equation alone."""
    prime = 2**255 - 19
    d = -121665 * pow(121666, -1, prime) % prime

    def add(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        t = d * a[0] * b[0] * a[1] * b[1]
        x = (a[0] * b[1] + a[1] * b[0]) * pow(1 + t, -1, prime)
        return x % prime, (a[1] * b[1] + a[0] * b[0]) * pow(1 - t, -1, prime) % prime

    def times(count: int, point: tuple[int, int]) -> tuple[int, int]:
        found = (0, 1)
        while count:
            found, point, count = add(found, point) if count & 1 else found, add(point, point), count >> 1
        return found

    group = 2**252 + 27742317777372353535851937790883648493
    found: set[tuple[int, int]] = set()
    y = 2
    while len(found) < order:
        square = (y * y - 1) * pow(d * y * y + 1, -1, prime) % prime
        x = pow(square, (prime + 3) // 8, prime)
        x = x if x * x % prime == square else x * pow(2, (prime - 1) // 4, prime) % prime
        if x * x % prime == square:
            base = times(group, (x, y))
            found |= {times(number, base) for number in range(order)}
        y += 1
    spellings = {(sign, y + prime * wrapped) for _, y in found for sign in (0, 1) for wrapped in (0, 1)}
    return {(y | sign << 255).to_bytes(32, "little") for sign, y in spellings if y < 2**255}


def test_a_key_for_which_anybody_can_sign_is_none() -> None:
    weak = points()
    assert {bytes([1, *[0] * 31]), bytes(32), bytes([*[0xEE], *[0xFF] * 30, 0x7F])} <= weak and len(weak) > 10
    for raw in weak:
        assert not is_key(raw) and normalise_key(spell(raw)) is None


@pytest.mark.parametrize("y", [2**255 - 19, 2**255 - 18, 2**255 - 16, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, 1])
def test_a_key_has_one_spelling(y: int, sign: int) -> None:
    assert not is_key((y | sign << 255).to_bytes(32, "little"))
    assert is_key((2**255 - 21 | sign << 255).to_bytes(32, "little"))


def test_the_signature_that_fits_every_message_fits_none() -> None:
    """R and A are the identity, S is 0: S·B = R + h·A, whatever h is. libcrypto takes it."""
    raw = NEUTRAL
    Ed25519PublicKey.from_public_bytes(raw).verify(raw + bytes(32), b"whatever")
    proof = DeviceProof(hashlib.sha256(raw).hexdigest(), spell(raw), spell(raw + bytes(32)), NOW, "n")
    refused = verify(proof, SIGNED, protocol=4, challenge="n", now_ms=NOW, local=True)
    assert refused is not None and refused.message == "device public key invalid"


@given(st.binary(min_size=32, max_size=32))
def test_the_key_of_whoever_made_one_is_taken(seed: bytes) -> None:
    assert is_key(Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw())


def libcrypto_signs(key: bytes, signature: bytes, message: bytes) -> bool:
    """The answer of the library of OpenClaw's own gateway."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: edge["case"])
def test_both_libraries_agree_where_verifiers_have_disagreed(edge: dict[str, Any]) -> None:
    key, signature = bytes.fromhex(edge["key"]), bytes.fromhex(edge["signature"])
    assert is_key(key)
    assert signs(key, signature, b"hello") is edge["taken"]
    # libcrypto takes an R of small order. No signer makes one by the standard, and who holds the key can sign anyway.
    assert libcrypto_signs(key, signature, b"hello") is (edge["taken"] or signature[:32] == NEUTRAL)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=99), st.integers(0, 511), st.binary(max_size=1))
def test_both_libraries_agree_on_what_is_signed_and_on_each_bit_of_it(
    seed: bytes, message: bytes, bit: int, more: bytes
) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    key, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert signs(key, signature, message) and libcrypto_signs(key, signature, message)
    other = (int.from_bytes(signature, "little") ^ 1 << bit).to_bytes(64, "little")
    assert not signs(key, other, message) and not libcrypto_signs(key, other, message)
    assert signs(key, signature, message + more) is libcrypto_signs(key, signature, message + more) is (not more)
