"""The `baseHash` that clients get for a text of the config file: a keyed hash, as in OpenClaw 2026.9.6.

With a plain hash, a client that may read the config without its secrets could try passwords until the hash fits. The
key is in the state folder, so that a `baseHash` stays valid over restarts.
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
    """The fingerprint of the text with this SHA-256. The key is read once, and made if there is none."""
    mac = hmac.new(_key(state), raw_hash.encode(), hashlib.sha256)
    return PREFIX + urlsafe_b64encode(mac.digest()).decode().rstrip("=")


@cache
def _key(state: Path) -> bytes:
    """The stored key. If it cannot be stored, it is this process's: a restart makes clients read the config again."""
    path = key_file(state)
    try:
        if (key := _read(path)) is None:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write = replace_text if path.exists() else create_text
            write(path, secrets.token_hex(KEY_BYTES) + "\n")
            key = _read(path)  # another process may have made one at the same time
    except OSError as error:
        log.warning("the key for the config's hash cannot be kept in %s: %s", path, error.strerror)
        key = None
    return key or secrets.token_bytes(KEY_BYTES)


def _read(path: Path) -> bytes | None:
    """None if there is no file, or it has no key."""
    try:
        key = bytes.fromhex(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None
