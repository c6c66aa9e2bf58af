"""What is fuzzed: each module has `one(data)`, which raises if something is wrong; some have `TOKENS`, worth trying."""

import importlib
from collections.abc import Callable
from typing import Protocol, cast

TARGETS = ("http", "websocket", "connect", "rpc", "config", "link", "ledger", "provider")


class Target(Protocol):
    one: Callable[[bytes], None]


def load(name: str) -> Target:
    return cast("Target", importlib.import_module(f"tests.fuzz.targets.{name}"))
