"""The device identity of our own client: its key, and the tokens that gateways on other machines gave it.

The key is that of OpenClaw 2026.2.1, if OpenClaw made one. Otherwise we make one in the same format at another path:
OpenClaw 2026.9.6 keeps its key in a database, and does not start while the older release's file exists. A file that we
cannot read is never overwritten.
"""

import json
import logging
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from gateway.errors import GatewayError
from gateway.files.atomic import create_text, replace_text
from gateway.machine.clock import now_ms
from gateway.protocol.admission.proof import Key

log = logging.getLogger("gateway.client.client")

S = TypeVar("S", bound=Struct)


class _KeyFile(Struct, rename="camel"):
    version: Literal[1]
    device_id: str
    public_key_pem: str
    private_key_pem: str
    created_at_ms: int = 0


class _Entry(Struct, rename="camel"):
    token: str
    role: str
    scopes: list[str]
    updated_at_ms: int


class _TokenFile(Struct, rename="camel"):
    version: Literal[1]
    device_id: str
    gateways: dict[str, dict[str, _Entry]] = {}
    """Gateway's origin -> role -> token: the token of one gateway is never sent to another."""


class Identity:
    """Every method reads the files, and raises GatewayError for one that it cannot read or understand."""

    def __init__(self, state: Path, clock_ms: Callable[[], int] = now_ms) -> None:
        self._clock_ms = clock_ms
        self._own = state / "gateway" / "device.json"
        self._openclaw = state / "identity" / "device.json"
        self._tokens = state / "gateway" / "device-auth.json"

    @cached_property
    def key(self) -> Key | None:
        """The key, made on first use with mode 0600. None if it cannot be written, which is logged."""
        for path in (self._own, self._openclaw):
            if key := _read_key(path):
                return key
        made = Key.generate()
        public, private = made.pems()
        try:
            self._own.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            created = create_text(self._own, _text(_KeyFile(1, made.id, public, private, self._clock_ms())))
        except OSError as error:
            log.warning("cannot write %s (%s): connecting without a device", self._own, error.strerror)
            return None
        return made if created else _read_key(self._own)  # another command may have made one at the same time

    def token(self, url: str, role: str) -> str | None:
        entry = self._stored_tokens().gateways.get(_origin(url), {}).get(role)
        return entry.token if entry else None

    def store_token(self, url: str, role: str, token: str, scopes: list[str]) -> None:
        """If the file cannot be written, which is logged, the next connection needs the secret again."""
        if token != self.token(url, role):
            entry = _Entry(token, role, sorted(set(scopes)), self._clock_ms())
            self._write_token(url, role, entry)

    def drop_token(self, url: str, role: str, token: str) -> None:
        """Remove `token`, and not a newer one that another command has stored meanwhile."""
        if token == self.token(url, role):
            self._write_token(url, role, None)

    def _write_token(self, url: str, role: str, entry: _Entry | None) -> None:
        stored, origin = self._stored_tokens(), _origin(url)
        roles = {other: each for other, each in stored.gateways.get(origin, {}).items() if other != role}
        if entry is not None:
            roles[role] = entry
        stored.gateways[origin] = roles
        stored.gateways = {each: tokens for each, tokens in stored.gateways.items() if tokens}
        try:
            self._tokens.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_text(self._tokens, _text(stored))
        except OSError as error:
            log.warning("cannot write %s (%s): this gateway's token is not kept", self._tokens, error.strerror)

    def _stored_tokens(self) -> _TokenFile:
        """The stored tokens; none if they belong to another key."""
        id, stored = self.key.id if self.key else "", _read(self._tokens, _TokenFile)
        return stored if stored and stored.device_id == id else _TokenFile(1, id)


def _read_key(path: Path) -> Key | None:
    stored = _read(path, _KeyFile)
    try:
        # The private key determines the other fields.
        return Key.from_pem(stored.private_key_pem) if stored else None
    except ValueError as error:
        raise _not_understood(path, error) from None


def _read(path: Path, shape: type[S]) -> S | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=shape)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _not_understood(path, error) from None
    except OSError as error:
        raise GatewayError(f"cannot read {path}: {error.strerror or error}") from None


def _not_understood(path: Path, error: Exception) -> GatewayError:
    return GatewayError(f"{path} is not as OpenClaw or we write it ({error}); move it away and pair this machine again")


def _text(record: Struct) -> str:
    return json.dumps(msgspec.to_builtins(record), indent=2) + "\n"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}{parts.path.rstrip('/')}"
