"""Whether a page of a Control UI is one that a user would call good: connected, no error on it or in the console."""

import re
from dataclasses import dataclass
from typing import Any

HARMLESS = {
    "config.schema.lookup": "Memory asks for settings that are not ours",
    "sessions.companion.state": "there is no side chat to tell the state of",
    "sessions.observer.visibility": "nobody observes sessions, so nobody needs to know who looks",
}
"""Methods that 2026.9.6 calls whatever the hello lists, and whose refusal it keeps to itself. A new one is an error."""

ABSENT = frozenset(
    {
        "Host memory search is unavailable",
        "Not available on this gateway",
        "Plugin panel unavailable",
        "Session backfill is unavailable on this Gateway.",
        "The terminal is not available on this gateway.",
        "Update the Gateway to continue setup with OpenClaw.",  # the assistant that sets OpenClaw up, an alert
        "Unavailable",  # of web search, beside the line above
        "unavailable (no small model)",  # of titles that a model would find
    }
)
"""Lines of pages that name a feature which this gateway does not have."""

_NO_ERROR = re.compile(
    r"^(errors?|error: off|offline|failed|0 (failed|errors?))$"  # a filter, a legend, a level
    r'|^"\w+": (0|\[\]),?$'  # a counter or list that is empty
    r"|^(error rate|errors) \?$|^peak error (days|hours)$|^no error data$|^0 errors · "
    r"|^provider:\S+ · .* · errors:0 · dur:"  # of how much was used
    r"|^Applied when the UI prompt is unavailable\.$",  # the help of a setting
    re.IGNORECASE,
)
_ERROR = re.compile(
    r"\berrors?\b|\bfail(ed|ure)\b|\bunreachable\b|\bunavailable\b|\bnot available\b|\btimed ?out\b|\brefused\b"
    r"|\bunknown method\b|\binvalid\b|\bmissing scope\b|\bunauthori[sz]ed\b|\bforbidden\b|\bdenied\b|\bmismatch\b"
    r"|\bdisconnected\b|\breconnecting(…|\.{3})|\boffline\b|\bcould(n.t| not)\b|\bunable to\b"
    r"|\bwent wrong\b|\bunsupported\b|\bNo AI provider configured\b"
    r"|\b(Type|Reference|Syntax)Error\b|\bundefined\b|\bNaN\b|\[object Object\]",
    re.IGNORECASE,
)
_FONT = re.compile(r" https://fonts\.googleapis\.com/")
"""2026.2.1 takes it from the Internet, which is not there in every place where this runs."""
_ITS_CONFIG = re.compile(r" http://127\.0\.0\.1:\d+/control-ui-config\.json$")
"""2026.9.6 asks the place that it came from for what only a gateway has, even when it goes to a gateway elsewhere."""

_ITS_NAME = re.compile(r" (401|404) .* http://127\.0\.0\.1:\d+/__openclaw/control-ui-config\.json$")
"""2026.2.26 asks for the assistant's name without the token; it goes on with a name of its own."""
_PICTURE = re.compile(r" 404 .* http://127\.0\.0\.1:\d+/avatar/\w+$")
"""The answer for an agent without a picture; OpenClaw's gateway gives the same."""


@dataclass(frozen=True)
class Sight:
    """One page of one version, as it was when it had come to rest."""

    version: str
    page: str
    connected: bool
    console: tuple[str, ...] = ()
    """Its errors."""
    faults: tuple[str, ...] = ()
    """Exceptions that nothing caught, and errors of the WebSocket."""
    refused: tuple[tuple[str, str], ...] = ()
    """Methods, and what the gateway said."""
    alerts: tuple[str, ...] = ()
    """The texts of banners, alerts and toasts."""
    lines: tuple[str, ...] = ()
    """Everything that can be read on it."""
    with_model: bool = False
    elsewhere: bool = False
    """Whether the page came from another place than the gateway."""

    @classmethod
    def of(cls, version: str, page: str, row: dict[str, Any]) -> "Sight":
        """The page, as `look` in browser.mjs has seen it."""
        return cls(
            version=version,
            page=page,
            connected=row["connected"],
            console=tuple(row["console"]),
            faults=tuple(row["faults"]),
            refused=tuple(row["refused"].items()),
            alerts=tuple(row["alerts"]),
            lines=tuple(row["lines"]),
        )

    @property
    def good(self) -> bool:
        return not self.trouble

    @property
    def trouble(self) -> list[str]:
        """Why it is not good; empty for a good one."""
        reasons = [] if self.connected else ["not connected"]
        reasons += [f"console: {text}" for text in self.console if not self._is_no_matter(text)]
        reasons += [f"fault: {text}" for text in self.faults]
        reasons += [f"refused: {name}: {said}" for name, said in self.refused if name not in HARMLESS]
        reasons += [f"alert: {_one_line(text)}" for text in self.alerts if text not in ABSENT]
        reasons += [f"on the page: {line}" for line in self.lines if _is_error(line)]
        if not self.lines:
            reasons.append("nothing on the page")
        return list(dict.fromkeys(reasons))

    def _is_no_matter(self, text: str) -> bool:
        shared = _FONT.search(text) or _PICTURE.search(text) or _ITS_NAME.search(text)
        return bool(shared or (self.elsewhere and _ITS_CONFIG.search(text)))


def _is_error(line: str) -> bool:
    return bool(_ERROR.search(line)) and line not in ABSENT and not _NO_ERROR.search(line)


def _one_line(text: str) -> str:
    return " · ".join(part.strip() for part in text.splitlines() if part.strip())
