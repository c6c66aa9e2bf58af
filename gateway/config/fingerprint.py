"""What clients know a text of the config file by: a keyed hash, as OpenClaw 2026.9.6 has it.

A plain hash would let who may read the config, but not its secrets, try passwords until the text fits. The key lies in
the state folder, so that a client's `baseHash` holds over restarts.
"""

import hashlib
import hmac
import logging
import secrets
from base64 import urlsafe_b64encode
from functools import cache
from pathlib import Path

from gateway.files.atomic import create_text, replace_text

log = logging.getLogger("gateway.config")

PREFIX = "hmac-sha256:v1:"
KEY_BYTES = 32


def key_file(state: Path) -> Path:
    return state / "gateway" / "config-hash.key"


def fingerprint(state: Path, raw_hash: str) -> str:
    """Of the text with this SHA-256. The state folder is read once, and written the first time of all."""
    mac = hmac.new(_key(state), raw_hash.encode(), hashlib.sha256)
    return PREFIX + urlsafe_b64encode(mac.digest()).decode().rstrip("=")


@cache
def _key(state: Path) -> bytes:
    """Where it cannot be kept, one for this process: then clients have to read the config anew after a restart."""
    path = key_file(state)
    try:
        if (key := _read(path)) is None:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            keep = replace_text if path.exists() else create_text
            keep(path, secrets.token_hex(KEY_BYTES) + "\n")
            key = _read(path)  # another process may have been first
    except OSError as error:
        log.warning("the key for the config's hash cannot be kept in %s: %s", path, error.strerror)
        key = None
    return key or secrets.token_bytes(KEY_BYTES)


def _read(path: Path) -> bytes | None:
    """None for none, and for what is no key."""
    try:
        key = bytes.fromhex(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None
