"""The params of our client's `connect`, and what it tries next when it is refused. Pure.

tried                              refused with              tried then
protocol 4                         protocol mismatch         protocol 3, if the gateway names it
no device, to a loopback address   device identity required  with the device
the shared secret                  token mismatch            the token that this gateway gave the device

OpenClaw's clients do the same. No step is taken twice.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

from msgspec import to_builtins

from gateway.protocol.admission.proof import Key, Signed
from gateway.text.addresses import is_loopback

ROLE = "operator"
_REQUEST_ID = re.compile(r"[\w-]{1,100}", re.ASCII)


class DeviceIdentity(Protocol):
    """A device's key, and the tokens that gateways gave it."""

    @property
    def key(self) -> Key | None: ...
    def token(self, url: str, role: str) -> str | None: ...
    def store_token(self, url: str, role: str, token: str, scopes: list[str]) -> None: ...
    def drop_token(self, url: str, role: str, token: str) -> None: ...


class ClientHandshake:
    """One connection's handshake: send `params`, then call `accepted` or `refused`."""

    def __init__(
        self,
        url: str,
        client: Mapping[str, str],
        scopes: Sequence[str],
        shared: Mapping[str, str],
        identity: DeviceIdentity | None,
        protocols: Sequence[int] = (4, 3),
        caps: Sequence[str] = (),
    ) -> None:
        """`client` (id, mode, version, platform) and `caps`: as in `connect`; `shared` has `token`, `password`."""
        self._url = url
        self._client = dict(client)
        self._scopes = tuple(scopes)
        self._shared = dict(shared)
        self._identity = identity
        self._protocols = protocols
        self._caps = tuple(caps)
        self._protocol = protocols[0]
        self._shows_device = not is_loopback_url(url)
        self._prefers_token = False
        self._sent: dict[str, str] = {}

    @property
    def key(self) -> Key | None:
        """The key that signs the next `params`, which then need the gateway's challenge; None: nothing is signed."""
        return self._identity.key if self._identity and self._shows_device else None

    def params(self, challenge: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
        """The params of `connect`. `challenge`: the gateway's `nonce`, maybe `ts` (ms); {} if nothing is signed."""
        self._sent = auth = self._auth()
        params: dict[str, Any] = {
            "minProtocol": self._protocol,
            "maxProtocol": self._protocol,
            "client": self._client,
            "role": ROLE,
            "scopes": list(self._scopes),
            "caps": list(self._caps),
        }
        if auth:
            params["auth"] = auth
        if self.key is not None:
            token = auth.get("token", auth.get("deviceToken", ""))
            who = (self._client["id"], self._client["mode"], ROLE, self._scopes, token, self._client["platform"], "")
            # The gateway's clock is used if it is known: it tolerates only a small difference from ours.
            signed_at = challenge["ts"] if isinstance(challenge.get("ts"), int) else now_ms
            proof = self.key.prove(Signed(*who), protocol=self._protocol, nonce=challenge["nonce"], signed_at=signed_at)
            params["device"] = to_builtins(proof)
        return params

    def accepted(self, hello: Mapping[str, Any]) -> None:
        """Store the device token in the payload of hello-ok, if there is one. Raises as `DeviceIdentity`."""
        granted = hello.get("auth") or {}
        if self._identity and self.key and granted.get("deviceToken"):
            role, scopes = granted.get("role") or ROLE, granted.get("scopes") or []
            self._identity.store_token(self._url, role, granted["deviceToken"], scopes)

    def refused(self, message: str, details: Any) -> bool:
        """Whether to try once more: the next `params` differ."""
        if self._protocol == self._protocols[0] and (older := _other_protocol(message, details)) in self._protocols[1:]:
            self._protocol = older
            return True
        if message == "device identity required" and self._identity and not self._shows_device:
            self._shows_device = True
            return self.key is not None
        if "token mismatch" not in message or self._identity is None:
            return False
        if self._sent != self._shared:
            self._identity.drop_token(self._url, ROLE, next(iter(self._sent.values())))
            return False
        self._prefers_token = True
        return self._token() is not None

    def _auth(self) -> dict[str, str]:
        """One credential at a time, so that a refusal says which one is invalid."""
        token = self._token()
        if token is None or (self._shared and not self._prefers_token):
            return self._shared
        # Protocol 3 has no field for a device token.
        return {"deviceToken" if self._protocol >= 4 else "token": token}

    def _token(self) -> str | None:
        return self._identity.token(self._url, ROLE) if self._identity and self.key else None


def _other_protocol(message: str, details: Any) -> int:
    """The protocol that the gateway speaks instead; 0 if the refusal has another reason."""
    if "unexpected property 'deviceToken'" in message:
        return 3  # OpenClaw 2026.2.1 checks the params before the protocol
    expected = details.get("expectedProtocol") if isinstance(details, dict) else None
    return expected if message == "protocol mismatch" and isinstance(expected, int) else 0


def is_loopback_url(url: str) -> bool:
    """Whether the URL's host is `localhost` or a loopback address."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or is_loopback(host)
    except ValueError:
        return False


def remedy(code: str, message: str, details: Any) -> str | None:
    """An instruction for the user after a refusal; None if the message has it, or none is known."""
    request = details.get("requestId") if isinstance(details, dict) else None
    # The id comes from the gateway, and the user pastes it into a shell.
    if code == "NOT_PAIRED" and isinstance(request, str) and _REQUEST_ID.fullmatch(request):
        return f"on the gateway's machine: openclaw-gateway devices approve {request}"
    if "device token mismatch" in message:
        return "this device's token has ended: connect with the gateway's secret (OPENCLAW_GATEWAY_TOKEN)"
    if re.search(r"gateway \w+ missing|device identity required", message):
        return "set OPENCLAW_GATEWAY_TOKEN to the gateway's secret"
    return None
