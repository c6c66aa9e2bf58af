"""How gateway and agent write a log record: its level's name, its subsystem, and its message, bounded and visible."""

import logging

from gateway.systemd.journal import prefix
from gateway.text.visible import visible

LEVELS = {"trace": 5, "debug": 10, "info": 20, "warn": 30, "error": 40, "fatal": 50, "silent": 100}
"""OpenClaw's name of a level -> the number that `logging` has for it."""
MAX_MESSAGE = 8192
"""Longest message in characters, its traceback included."""


def subsystem(record: logging.LogRecord) -> str:
    """`gateway/reload` for the logger `gateway.reload`."""
    return record.name.replace(".", "/")


def message(record: logging.LogRecord) -> str:
    """The message and its traceback. It may hold what others sent, so what a terminal would obey is made visible."""
    text = record.getMessage()
    if record.exc_info and record.exc_info[0] is not None:
        text += "\n" + logging.Formatter().formatException(record.exc_info)
    return visible(text[:MAX_MESSAGE])


class PrefixFormatter(logging.Formatter):
    """`<4>agent/link: message`. Each line has the prefix, because each line becomes an entry of the journal."""

    def format(self, record: logging.LogRecord) -> str:
        beginning = f"{prefix(record.levelno)}{subsystem(record)}: "
        return beginning + message(record).replace("\n", f"\n{beginning}")
