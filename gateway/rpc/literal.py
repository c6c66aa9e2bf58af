"""Methods that always give the same answer, declared by that answer instead of a function.

The type of the payload, which the documentation shows, is read from the literal; `Typed` says it where the literal
cannot.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType, defstruct

from gateway.machine.clock import now_ms
from gateway.protocol.frames import RpcError, WireError
from gateway.protocol.params import NoParams, Params
from gateway.protocol.scopes import Scope
from gateway.rpc.registry import Call, Method, method

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Typed:
    """A field of an answer whose type its value does not say."""

    type: Any
    value: Any
    since: int = 3
    """The first protocol whose answer has the field."""


NOW = Typed(int, None)
"""The time of the answer, in milliseconds since 1970."""


def up_to(most: int) -> Any:
    """The type of a param that is a number from 1 to `most`."""
    return Annotated[int, Meta(ge=1, le=most)]


def short(most: int) -> Any:
    """The type of a param that is a text of 1 to `most` characters."""
    return Annotated[str, Meta(min_length=1, max_length=most)]


def fields(**types: Any) -> type[Params]:
    """Params by their names in Python. A type alone may be left out or null; a pair is a type and its default."""
    pairs = {name: each if isinstance(each, tuple) else (each | None, None) for name, each in types.items()}
    shape = [(name, type, default) for name, (type, default) in pairs.items()]
    made: type[Params] = defstruct("LiteralParams", shape, bases=(Params,), frozen=True)  # type: ignore[assignment]
    return made


def literal(
    name: str,
    doc: str,
    answer: dict[str, Any] | list[Any] | WireError,
    params: type[Params] = NoParams,
    *,
    scope: Scope,
    since: int = 4,
) -> Method:
    """A method that answers `answer`, or refuses with it if it is an error."""

    def handler(call: Call, params: Params) -> Any:
        if isinstance(answer, WireError):
            raise RpcError(answer)
        return _fill(answer, call.peer.protocol) if isinstance(answer, dict) else answer

    handler.__doc__ = doc
    return method(name, params, _result(answer), scope=scope, since=since)(handler)


def _fill(answer: dict[str, Any], protocol: int) -> dict[str, Any]:
    found = {}
    for name, each in answer.items():
        if not isinstance(each, Typed):
            found[name] = each
        elif each.since <= protocol:
            found[name] = now_ms() if each is NOW else each.value
    return found


def _result(answer: dict[str, Any] | list[Any] | WireError) -> Any:
    """The type of the payload."""
    if isinstance(answer, dict):
        return defstruct("LiteralAnswer", [_field(name, each) for name, each in answer.items()])
    return Rows if isinstance(answer, list) else dict[str, Any]


def _field(name: str, value: Any) -> Any:
    if not isinstance(value, Typed):
        types: dict[type, Any] = {list: Rows, dict: dict[str, Any]}
        return name, types.get(type(value), type(value))
    return (name, value.type | UnsetType, UNSET) if value.since > 3 else (name, value.type)
