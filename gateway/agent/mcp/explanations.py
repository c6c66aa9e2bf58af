"""Sentences that say why an MCP server or a call of it failed."""

from gateway.agent.turn.failed import quote


class Explained(Exception):
    """An error with a text of ours, which is shown uncut."""


def explain(error: BaseException) -> str:
    """The words of an error; of an exception group, the words of its first error."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, Explained):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return quote(str(error)) or type(error).__name__
