"""What a method is, and the list of them: name, params, result, scope and age stand in one decorator.

A method's handler may be a plain function, which answers at once, or a coroutine function. A handler is cancelled when
its client goes: work that must not stop half way belongs to a service, and the handler only waits for it.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway.hub.connection import Connection
from gateway.protocol import scopes
from gateway.protocol.frames import WireError
from gateway.protocol.params import Params
from gateway.protocol.peer import Peer
from gateway.protocol.scopes import Scope
from gateway.rpc.core import Core

P = TypeVar("P", bound=Params)


@dataclass(frozen=True)
class Call:
    """Who calls, and what a handler may use."""

    core: Core
    connection: Connection
    peer: Peer
    request_id: str = ""
    """Of an asynchronous method's request."""


@dataclass(frozen=True)
class Method:
    name: str
    params: type[Params]
    result: Any
    """The type of the payload, as the documentation shows it."""
    scope: Scope | None
    """None: any operator may call it, even one without a scope."""
    old_scope: Scope | None
    """The same in protocol 3."""
    since: int
    """The first protocol that has it; to older clients it is an unknown method."""
    handler: Callable[[Call, Any], Any]
    asynchronous: bool
    budgeted: bool
    """Whether a client may call it only so often (`rpc/budget`)."""

    def refuse(self, peer: Peer) -> WireError | None:
        """Why this client may not call it; None: it may. What does the same by another way asks here too."""
        needed = self.scope if peer.protocol >= 4 else self.old_scope
        return scopes.refuse(peer.protocol, peer.role, peer.scopes, needed)

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.handler) or ""


Handler = Callable[[Call, P], Any] | Callable[[Call, P], Awaitable[Any]]


def method(
    name: str,
    params: type[P],
    result: Any,
    *,
    scope: Scope | None,
    old_scope: Scope | None = None,
    since: int = 3,
    budgeted: bool = False,
) -> Callable[[Handler[P]], Method]:
    """`old_scope`: where protocol 3 has another one."""

    def declare(handler: Handler[P]) -> Method:
        is_async = inspect.iscoroutinefunction(handler)
        return Method(name, params, result, scope, old_scope or scope, since, handler, is_async, budgeted)

    return declare


class Registry:
    def __init__(self, methods: Iterable[Method]) -> None:
        self._methods: dict[str, Method] = {}
        for each in methods:
            if each.name in self._methods:
                raise ValueError(f"method {each.name} is registered twice")
            self._methods[each.name] = each
        self._names = {protocol: sorted(each.name for each in self if each.since <= protocol) for protocol in (3, 4)}

    def __iter__(self) -> Iterator[Method]:
        return iter(self._methods.values())

    def names(self, protocol: int) -> list[str]:
        """The names that hello-ok lists under `features.methods`: sorted, so that they do not depend on our modules."""
        return self._names[protocol]

    def find(self, name: str, protocol: int) -> Method | None:
        found = self._methods.get(name)
        return found if found and found.since <= protocol else None
