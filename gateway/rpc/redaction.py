"""Config values without their secrets, for everyone who asks over the wire.

What counts is the name of the key; where names say nothing (`env`, `headers`) every text is taken for a secret. A
reference such as `${TOKEN}` is none, and stays readable.
"""

import re
from typing import Any

REDACTED = "__OPENCLAW_REDACTED__"

_SECRET_KEY = re.compile(
    r"token|passw(or)?d|passphrase|secret|credential|cookie|bearer|authorization|(api|access|private|encrypt\w*)[_-]?key",
    re.IGNORECASE,
)
_ALL_SECRET = frozenset({"env", "vars", "headers"})
_PLAIN_KEY = re.compile(r"(file|path|mode|provider|source)$", re.IGNORECASE)
_REFERENCE = re.compile(r"\$\{[A-Z_][A-Z0-9_]*\}")
_URL_WITH_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s]*:[^/\s]*@", re.IGNORECASE)


def redact(value: Any, *, secret: bool = False) -> Any:
    """A copy in which every secret text is `REDACTED`; equal to `value` when there was none."""
    if isinstance(value, dict):
        return {key: redact(child, secret=_hides(key, child, secret)) for key, child in value.items()}
    if isinstance(value, list):
        return [redact(child, secret=secret) for child in value]
    if isinstance(value, str) and value and _is_secret(value, secret):
        return REDACTED
    return value


def _hides(key: str, child: Any, inherited: bool) -> bool:
    """A table under a secret's name describes where the secret is (`{source, id}`); its own keys decide."""
    if key in _ALL_SECRET and isinstance(child, dict):
        return True
    named = bool(_SECRET_KEY.search(key)) and not _PLAIN_KEY.search(key)
    return named and not isinstance(child, dict) or inherited


def _is_secret(text: str, named: bool) -> bool:
    if _REFERENCE.fullmatch(text):
        return False
    return named or bool(_URL_WITH_PASSWORD.match(text))
