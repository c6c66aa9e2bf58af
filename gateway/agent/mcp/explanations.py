"""Why an MCP server or a call of it failed, in a sentence."""

from gateway.agent.turn.failed import quote


class Explained(Exception):
    """Its text is ours, and stays whole."""


def explain(error: BaseException) -> str:
    """The first error inside a group of them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, Explained):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return quote(str(error)) or type(error).__name__
