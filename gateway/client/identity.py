"""Who our own client is to a gateway elsewhere: its key, and the tokens that gateways gave it.

The key is that of OpenClaw 2026.2.1, if it made one. Else ours is made in its format, but not in its place: OpenClaw
2026.9.6 keeps its own in a database, and does not start while the file of the older release lies there. A file that we
do not understand is never overwritten.
"""

import json
import logging
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from gateway.errors import GatewayError
from gateway.files.atomic import create_text, replace_text
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
    """Address -> role -> token: what one gateway gave is shown to no other."""


class Identity:
    """Reads when first asked, and writes only what is new. GatewayError: a file that we do not understand."""

    def __init__(self, state: Path, clock_ms: Callable[[], int] = lambda: int(time.time() * 1000)) -> None:
        self._clock_ms = clock_ms
        self._own = state / "gateway" / "device.json"
        self._foreign = state / "identity" / "device.json"
        self._tokens = state / "gateway" / "device-auth.json"

    @cached_property
    def key(self) -> Key | None:
        """Made on first use, mode 0600. None: it cannot be kept, which is logged."""
        for path in (self._own, self._foreign):
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
        return made if created else _read_key(self._own)  # another command may have been faster

    def token(self, url: str, role: str) -> str | None:
        entry = self._held().gateways.get(_origin(url), {}).get(role)
        return entry.token if entry else None

    def keep(self, url: str, role: str, token: str, scopes: list[str]) -> None:
        """Where it cannot be written, which is logged, the next connection needs the secret again."""
        if token != self.token(url, role):
            entry = _Entry(token, role, sorted(set(scopes)), self._clock_ms())
            self._set(url, role, entry)

    def drop(self, url: str, role: str, token: str) -> None:
        """Not one that another command has got meanwhile."""
        if token == self.token(url, role):
            self._set(url, role, None)

    def _set(self, url: str, role: str, entry: _Entry | None) -> None:
        held, origin = self._held(), _origin(url)
        roles = {other: each for other, each in held.gateways.get(origin, {}).items() if other != role}
        if entry is not None:
            roles[role] = entry
        held.gateways[origin] = roles
        held.gateways = {each: tokens for each, tokens in held.gateways.items() if tokens}
        try:
            self._tokens.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_text(self._tokens, _text(held))
        except OSError as error:
            log.warning("cannot write %s (%s): this gateway's token is not kept", self._tokens, error.strerror)

    def _held(self) -> _TokenFile:
        """Tokens of another key are worth nothing."""
        id, held = self.key.id if self.key else "", _read(self._tokens, _TokenFile)
        return held if held and held.device_id == id else _TokenFile(1, id)


def _read_key(path: Path) -> Key | None:
    held = _read(path, _KeyFile)
    try:
        # The rest of the file follows from it.
        return Key.from_pem(held.private_key_pem) if held else None
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
