"""The generated token: who configures no secret still gets one, in a file that only the user can read."""

import logging
import os
import secrets
from pathlib import Path

log = logging.getLogger("gateway.auth")


def token_file(state_dir: Path) -> Path:
    return state_dir / "gateway" / "token"


def generated_token(state_dir: Path) -> str:
    """The token in `<state>/gateway/token`, created on first use (32 random bytes, mode 0600).

    Without a place to keep it, a token of this process alone: nobody can connect, which is better than everybody.
    """
    path = token_file(state_dir)
    try:
        if token := _read(path):
            return token
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        token = secrets.token_urlsafe(32)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w") as file:
            os.fchmod(fd, 0o600)
            file.write(token + "\n")
        log.info("no secret is configured; clients need the generated token in %s", path)
        return token
    except OSError as error:
        log.warning(
            "no secret is configured and none can be kept in %s (%s): no client can connect. "
            "Set gateway.auth.token or OPENCLAW_GATEWAY_TOKEN.",
            path,
            error.strerror,
        )
        return secrets.token_urlsafe(32)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
