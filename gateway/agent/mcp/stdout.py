"""The messages in what an MCP server writes to stdout. Pure but for the log.

One message is one line of JSON. Servers write other things there as well: a banner, log lines, a prompt before a
message on the same line. Other text is skipped and logged, up to a bound. A message is found anywhere in a line.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator

from mcp_types import JSONRPCMessage, jsonrpc_message_adapter

from gateway.text.lines import LineSplitter
from gateway.text.unicode import well_formed_json, well_formed_value

log = logging.getLogger("agent.tools")

MAX_LINE = 32 * 1024 * 1024
"""Bytes of one message of a server."""
MAX_LOGGED = 20
"""Lines without a message that are logged for one server."""
MAX_SHOWN = 500
"""Characters of one such line that are logged."""
MAX_STARTS = 16
"""Places in a line at which a message is looked for."""
FRAMED = (
    "it puts Content-Length headers before its messages, as language servers do; "
    "MCP over stdio is one line of JSON for each message"
)
_FRAME = re.compile(rb"\s*content-length:\s*\d+\s*", re.IGNORECASE)
_START = re.compile(r'\{\s*"')
_decoder = json.JSONDecoder()


class NotMcp(Exception):
    """The server does not speak MCP, so reading on is useless."""


class Stdout:
    def __init__(self, server: str, hide: Callable[[str], str] = str) -> None:
        """`hide` takes secrets out of what is logged."""
        self._server = server
        self._hide = hide
        self._lines = LineSplitter(MAX_LINE, skip=True)
        self._spoken = False
        self.noise = 0
        """Number of lines without a message."""

    def feed(self, data: bytes) -> Iterator[JSONRPCMessage]:
        """The messages that are complete with these bytes. Raises NotMcp, with the reason."""
        complete = self._lines.feed(data)
        for beginning in self._lines.skipped:
            if beginning.lstrip().startswith(b"{"):
                raise NotMcp(f"it has sent a message of more than {MAX_LINE} bytes")
            self._pass_over(beginning + b"...")
        self._lines.skipped.clear()
        for line in complete:
            found = False
            for message in _messages(line):
                found = self._spoken = True
                yield message
            if not found and line.strip():
                if not self._spoken and _FRAME.fullmatch(line):
                    raise NotMcp(FRAMED)
                self._pass_over(line)

    def _pass_over(self, line: bytes) -> None:
        self.noise += 1
        if self.noise <= MAX_LOGGED:
            text = self._hide(line[: 4 * MAX_SHOWN].decode(errors="replace"))[:MAX_SHOWN]
            log.warning("MCP server %s writes to stdout what is no message: %s", self._server, text)
        if self.noise == MAX_LOGGED:
            log.warning("MCP server %s: what else it writes to stdout that is no message is not logged", self._server)

    def end(self) -> None:
        if self.noise > MAX_LOGGED:
            log.info("MCP server %s has written %d lines to stdout that are no messages", self._server, self.noise)


def _messages(line: bytes) -> Iterator[JSONRPCMessage]:
    if b'"jsonrpc"' not in line:
        return
    try:
        yield jsonrpc_message_adapter.validate_json(well_formed_json(line), by_name=False)
    except ValueError:
        yield from _hidden(line.decode(errors="replace"))


def _hidden(text: str) -> Iterator[JSONRPCMessage]:
    """Messages in a line that has other text before, between or after them."""
    at = 0
    for _ in range(MAX_STARTS):
        start = _START.search(text, at)
        if start is None:
            return
        try:
            value, at = _decoder.raw_decode(text, start.start())
            yield jsonrpc_message_adapter.validate_python(well_formed_value(value), by_name=False)
        except (ValueError, RecursionError):
            at = max(at, start.end())
