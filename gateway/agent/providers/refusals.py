"""Finds the tool whose schema or name a provider refuses, in the words of its refusal.

OpenAI names the function. Anthropic and Google give its place in the list. Other servers do either.
"""

import json
import re
from collections.abc import Sequence

from pydantic_ai.exceptions import ModelHTTPError

from gateway.agent.turn.source import Tool

MAX_REFUSED = 8
"""Tools of one run that are left out for this reason. Each costs a request."""
STATUSES = (400, 422)
MAX_SAID = 64 * 1024
"""Characters of an answer that are searched."""
_ABOUT = re.compile(r"tool|function|schema|parameter", re.IGNORECASE)
_PLACES = (
    re.compile(r"function_?declarations?[\[./](\d+)", re.IGNORECASE),
    re.compile(r"\btools[\[./](\d+)"),
    re.compile(r"\bfunctions[\[./](\d+)"),
)


def refused_tool(error: BaseException, offered: Sequence[Tool]) -> str | None:
    """The name of the tool because of which a request was refused; None if it is not known."""
    if not isinstance(error, ModelHTTPError) or error.status_code not in STATUSES or not offered:
        return None
    said = _text(error.body)[:MAX_SAID]
    if not _ABOUT.search(said):
        return None
    words = set(re.findall(r"[A-Za-z0-9_-]+", said))
    named = [tool.name for tool in offered if tool.name in words]
    if len(named) == 1:
        return named[0]
    for pattern in _PLACES:
        if (found := pattern.search(said)) is not None and len(found[1]) < 6 and int(found[1]) < len(offered):
            return offered[int(found[1])].name
    return named[0] if named else None


def _text(body: object) -> str:
    return body if isinstance(body, str) else json.dumps(body, default=str)
