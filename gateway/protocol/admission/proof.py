"""The proof that a client holds the key of its device: made by our own client, verified for others. Pure.

The id of a device is the hash of its Ed25519 key, so that a proof can be verified without a record. The signed text is:

v1   v1|deviceId|clientId|clientMode|role|scopes|signedAtMs|token
v2   v1 as v2, and |nonce
v3   v2 as v3, and |platform|deviceFamily
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from gateway.protocol.frames import WireError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_BYTES = 32
SIGNATURE_BYTES = 64
SKEW_MS = {3: 10 * 60_000, 4: 2 * 60_000}
"""The largest difference between a client's clock and ours, by protocol."""
_PRIME = 2**255 - 19
_SMALL_ORDER = {
    0,
    1,
    _PRIME - 1,
    *(int.from_bytes(bytes.fromhex(text), "little") for text in (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )),
}  # fmt: skip
"""The y of the eight points whose order divides 8: for such a key one signature fits every message."""
_SPKI = bytes.fromhex("302a300506032b6570032100")
"""The bytes of a DER SubjectPublicKeyInfo before the 32 bytes of an Ed25519 key."""

Time = Annotated[int, Meta(ge=0, le=2**53)]
Short = Annotated[str, Meta(max_length=200)]
Long = Annotated[str, Meta(max_length=1024)]


class DeviceProof(Struct, frozen=True, rename="camel"):
    """`device` of connect. Unknown keys are allowed, as in the rest of connect."""

    id: Short
    public_key: Long
    signature: Short
    signed_at: Time
    nonce: Short | None = None


@dataclass(frozen=True)
class Signed:
    """The other fields that the signature covers, as the client sent them; "" for one that it left out."""

    client_id: str
    client_mode: str
    role: str
    scopes: tuple[str, ...]
    token: str
    platform: str
    device_family: str


def verify(
    proof: DeviceProof, signed: Signed, *, protocol: int, challenge: str, now_ms: int, local: bool
) -> WireError | None:
    """None if the client holds the key and signed for this connection. The checks are in OpenClaw's order."""
    key = decode(_unwrap(proof.public_key))
    if key is None or not hmac.compare_digest(hashlib.sha256(key).hexdigest().encode(), _bytes(proof.id)):
        return _refuse(protocol, "device identity mismatch", "DEVICE_ID_MISMATCH", "device-id-mismatch")
    if abs(now_ms - proof.signed_at) > SKEW_MS[4 if protocol >= 4 else 3]:
        return _refuse(protocol, "device signature expired", "SIGNATURE_EXPIRED", "device-signature-stale")
    nonce = (proof.nonce or "").strip()
    if not nonce and (protocol >= 4 or not local):
        return _refuse(protocol, "device nonce required", "NONCE_REQUIRED", "device-nonce-missing")
    if nonce and not hmac.compare_digest(_bytes(nonce), _bytes(challenge)):
        return _refuse(protocol, "device nonce mismatch", "NONCE_MISMATCH", "device-nonce-mismatch")
    if not is_key(key):
        return _refuse(protocol, "device public key invalid", "PUBLIC_KEY_INVALID", "device-public-key")
    if not _signs_any(key, proof.signature, payloads(proof, signed, nonce, protocol)):
        return _refuse(protocol, "device signature invalid", "SIGNATURE_INVALID", "device-signature")
    return None


def payloads(proof: DeviceProof, signed: Signed, nonce: str, protocol: int) -> list[str]:
    """The texts that the client may have signed, the likeliest first. Without a nonce it can only be v1."""
    versions = ("v1",) if not nonce else ("v3", "v2") if protocol >= 4 else ("v2", "v3")
    return [payload(version, proof.id, signed, proof.signed_at, nonce) for version in versions]


def payload(version: str, id: str, signed: Signed, signed_at: int, nonce: str) -> str:
    """The text that is signed."""
    scopes = ",".join(signed.scopes)
    words = [version, id, signed.client_id, signed.client_mode, signed.role, scopes, str(signed_at), signed.token]
    if version != "v1":
        words.append(nonce)
    if version == "v3":
        words += [_lower(signed.platform), _lower(signed.device_family)]
    return "|".join(words)


class Key:
    """The private key of a device. The repr does not show it."""

    def __init__(self, private: "Ed25519PrivateKey") -> None:
        self._private = private

    @classmethod
    def generate(cls) -> "Key":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, text: str) -> "Key":
        """Raises ValueError if it is no Ed25519 key."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            private = load_pem_private_key(text.encode(), None)
        except (TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(str(error)) from None
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError("it is no Ed25519 key")
        return cls(private)

    @cached_property
    def id(self) -> str:
        return hashlib.sha256(self._private.public_key().public_bytes_raw()).hexdigest()

    @cached_property
    def public(self) -> str:
        return _spell(self._private.public_key().public_bytes_raw())

    def pems(self) -> tuple[str, str]:
        """The public and the private key, as files hold them."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

        public = self._private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return public.decode(), self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def prove(self, signed: Signed, *, protocol: int, nonce: str, signed_at: int) -> DeviceProof:
        """The proof as OpenClaw's client of that protocol makes it. `signed_at`: milliseconds since 1970."""
        text = payload("v3" if protocol >= 4 else "v2", self.id, signed, signed_at, nonce)
        return DeviceProof(self.id, self.public, _spell(self._private.sign(_bytes(text))), signed_at, nonce)


def normalise_key(text: str) -> str | None:
    """The form of a public key in records: base64url without padding. None if it is no key."""
    key = decode(_unwrap(text))
    return _spell(key) if key is not None and is_key(key) else None


def is_key(raw: bytes) -> bool:
    """Whether it is an Ed25519 key in canonical form that is not of small order."""
    y = int.from_bytes(raw, "little") & ((1 << 255) - 1)
    return len(raw) == KEY_BYTES and y < _PRIME and y not in _SMALL_ORDER


def decode(text: str) -> bytes | None:
    """Bytes from base64 in either alphabet, padded or not; None if it is something else."""
    plain = text.strip().rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _unwrap(text: str) -> str:
    """The raw key of a PEM in base64; any other text unchanged."""
    if "-----BEGIN" not in text:
        return text
    lines = [line.strip() for line in text.strip().splitlines()]
    der = decode("".join(line for line in lines if not line.startswith("-----")))
    if der is None or not der.startswith(_SPKI):
        return "?"
    return base64.b64encode(der[len(_SPKI) :]).decode()


def _signs_any(key: bytes, signature: str, texts: list[str]) -> bool:
    raw = decode(signature)
    return raw is not None and len(raw) == SIGNATURE_BYTES and any(signs(key, raw, _bytes(text)) for text in texts)


def signs(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the signature is the key's for the message. `key`: one that `is_key` takes."""
    # Imported here because a start need not wait for it, and most clients have no device. libsodium verifies as
    # libcrypto does, with a sixth of its memory and half of its time; the keys in files need the larger library.
    from nacl.bindings import crypto_sign_open
    from nacl.exceptions import BadSignatureError

    try:
        crypto_sign_open(signature + message, key)
    except BadSignatureError:
        return False
    return True


def _spell(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _lower(text: str) -> str:
    """Lower case for ASCII letters only, as clients do before they sign."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in text.strip())


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _refuse(protocol: int, message: str, code: str, reason: str) -> WireError:
    details = {"code": f"DEVICE_AUTH_{code}", "reason": reason} if protocol >= 4 else None
    return WireError("INVALID_REQUEST", message, details)
