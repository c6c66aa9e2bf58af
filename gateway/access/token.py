"""The generated token: the secret of a gateway whose config has none, in a file that only the user can read."""

import logging
import secrets
from pathlib import Path

from gateway.files.atomic import replace_text

log = logging.getLogger("gateway.auth")


def token_file(state_dir: Path) -> Path:
    return state_dir / "gateway" / "token"


def generated_token(state_dir: Path) -> str | None:
    """The token in `<state>/gateway/token`, created on first use (32 random bytes, mode 0600).

    None if it cannot be kept. Then no client can connect, which is better than that any can.
    """
    path = token_file(state_dir)
    try:
        if token := _read(path):
            return token
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        token = secrets.token_urlsafe(32)
        replace_text(path, token + "\n")
        log.info("no secret is configured; clients need the generated token in %s", path)
        return token
    except OSError as error:
        log.warning(
            "no secret is configured and none can be kept in %s (%s): no client can connect. "
            "Set gateway.auth.token or OPENCLAW_GATEWAY_TOKEN.",
            path,
            error.strerror,
        )
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
