"""Text in place of a secret that cannot be one: a reference that nothing replaces, or the placeholder of an example.

Its author believes that the secret is elsewhere. Used as a secret, it could be guessed.
"""

import re

LONGEST = 256
"""A longer text counts as a secret."""
REPLACED = 'only "${NAME}" and "$NAME" in capitals, and {source, provider, id}, are replaced'
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCES = (
    (re.compile(r"\$\{[^{}]*\}"), "a variable"),
    (re.compile(rf"\$(env:)?{_NAME}", re.IGNORECASE), "a variable"),
    (re.compile(rf"%{_NAME}%"), "a variable"),
    (re.compile(r"\$\(.*\)|`.*`"), "a command"),
    (re.compile(r"(\$|#)?\{\{.*\}\}|\$\[.*\]|!(env|file|secret|vault)\b.*"), "a template"),
    (re.compile(r"(process\.env|os\.environ|import\.meta\.env|ENV)\W.*"), "a variable"),
    (
        re.compile(r"(file|env|exec|cmd|vault|secretref(-env)?|secret|keychain|keyring):.+|op://.+"),
        "a reference",
    ),
    (re.compile(r"(/run|/etc|/var|/home|/root|~)/\S+"), "a file's name"),
)
_PLACEHOLDERS = (
    re.compile(r"<[^<>]*>|\[[^\[\]]*\]"),
    re.compile(r"(.*[^.])?(\.\.\.|…)|\*{3,}|•{3,}"),
    re.compile(r"(please-)?(change|replace)-?(me|this|it)\b.*"),
    re.compile(r"((insert|enter|put|paste|add|use)-)?your-(.+-)?(token|key|secret|password|apikey)(-here)?"),
    re.compile(r"(insert|enter|put|paste|add)-(.+-)?(token|key|secret|password)(-here)?"),
    re.compile(r"todo|tbd|fixme|placeholder|redacted|undefined|null|openclaw-redacted"),
)
_SEPARATORS = re.compile(r"[\s_.-]+")


_SCHEME = re.compile(r"(Bearer|Basic|Token)\s+", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"token|passw|passphrase|secret|credential|cookie|authorization|(api|private)[_-]?key", re.IGNORECASE
)


def mistaken_in(name: str, value: object) -> str | None:
    """As `mistaken`, for a header or a variable: its value is a secret only if its `name` says so."""
    if not isinstance(value, str) or not _SECRET_NAME.search(name):
        return None
    return mistaken(_SCHEME.sub("", value.strip(), count=1))


def mistaken(secret: str) -> str | None:
    """A description of a text that is no secret, without a quotation of it; None if it may be one."""
    text = secret.strip()
    if not text or len(text) > LONGEST:
        return None
    for pattern, what in _REFERENCES:
        if pattern.fullmatch(text):
            return f"it looks like {what}, and {REPLACED}"
    if re.search(r"\$\{", text) and "}" in text:
        return f"a part of it looks like a variable, and {REPLACED}"
    plain = _SEPARATORS.sub("-", text.lower()).strip("-")
    if any(pattern.fullmatch(text) or pattern.fullmatch(plain) for pattern in _PLACEHOLDERS):
        return "it looks like the placeholder of an example"
    return None
