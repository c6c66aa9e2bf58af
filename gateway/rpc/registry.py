"""Methods and their registry. One decorator declares name, params, result, scope and first protocol.

A handler is a plain function, which answers at once, or a coroutine function, which is cancelled when its client
disconnects: work that must be finished belongs to a service, and the handler waits for it. A coroutine function may
have a plain function beside it, for calls whose answer is there already.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from gateway.hub.connection import Connection
from gateway.protocol import scopes
from gateway.protocol.admission.hello import features
from gateway.protocol.frames import WireError
from gateway.protocol.params import Params
from gateway.protocol.peer import Peer
from gateway.protocol.scopes import Scope
from gateway.rpc.core import Core

P = TypeVar("P", bound=Params)


@dataclass(frozen=True)
class Call:
    """The client that calls, and what its handler may use."""

    core: Core
    connection: Connection
    peer: Peer
    request_id: str = ""
    """Id of the request; set for asynchronous methods only."""


@dataclass(frozen=True)
class Method:
    name: str
    params: type[Params]
    result: Any
    """The type of the payload, for the documentation."""
    scope: Scope | None
    """The scope that a client needs; None: any operator may call it, even one without scopes."""
    old_scope: Scope | None
    """`scope` in protocol 3."""
    since: int
    """The first protocol that has the method; for older clients it is unknown."""
    handler: Callable[[Call, Any], Any]
    asynchronous: bool
    budgeted: bool
    """Whether calls of a client are limited (`rpc/budget`)."""
    at_once: Callable[[Call, Any], Any] | None = None
    """Asked before an asynchronous handler: the payload, or None where the handler is needed."""

    def refuse(self, peer: Peer) -> WireError | None:
        """The refusal for this client; None: it may call the method. Chat commands that do the same ask here, too."""
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
    at_once: Callable[[Call, P], Any] | None = None,
) -> Callable[[Handler[P]], Method]:
    """Declare a method. `old_scope`: the scope in protocol 3, if it differs. `at_once`: see `Method`."""

    def declare(handler: Handler[P]) -> Method:
        is_async = inspect.iscoroutinefunction(handler)
        return Method(name, params, result, scope, old_scope or scope, since, handler, is_async, budgeted, at_once)

    return declare


class Registry:
    def __init__(self, methods: Iterable[Method]) -> None:
        self._methods: dict[str, Method] = {}
        for each in methods:
            if each.name in self._methods:
                raise ValueError(f"method {each.name} is registered twice")
            self._methods[each.name] = each
        self._names = {protocol: sorted(each.name for each in self if each.since <= protocol) for protocol in (3, 4)}
        self._features = {
            protocol: Raw(msgspec.json.encode(features(names, protocol))) for protocol, names in self._names.items()
        }

    def __iter__(self) -> Iterator[Method]:
        return iter(self._methods.values())

    def names(self, protocol: int) -> list[str]:
        """The names that hello-ok lists under `features.methods`: sorted, so that they do not depend on our modules."""
        return self._names[protocol]

    def features(self, protocol: int) -> Raw:
        """`features` of hello-ok, encoded: each hello has them."""
        return self._features[protocol]

    def find(self, name: str, protocol: int) -> Method | None:
        found = self._methods.get(name)
        return found if found and found.since <= protocol else None
