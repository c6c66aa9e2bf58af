"""Requests become texts of answers; here alone an exception becomes an error on the wire."""

import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from gateway.protocol.frames import Request, RpcError, WireError, encode_error, encode_response
from gateway.protocol.params import InvalidParams, Params, cut, decode_params
from gateway.protocol.scopes import READ
from gateway.rpc.budget import Budget
from gateway.rpc.registry import Call, Method, Registry

log = logging.getLogger("gateway.rpc")


@dataclass(frozen=True, slots=True)
class AsyncAnswer:
    """The answer of an asynchronous method: call it once, and await the result to get the text."""

    begin: Callable[[], Coroutine[Any, Any, bytes]]
    reads: bool
    """Whether the method only reads: such an answer may be large and takes little time, so build one at a time."""

    def __call__(self) -> Coroutine[Any, Any, bytes]:
        return self.begin()


MethodSource = Registry | Callable[[], Registry]
"""The methods, or what is called for them when the first client asks."""


class Dispatcher:
    def __init__(self, registry: MethodSource, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = registry
        self._budget = Budget(clock)

    @cached_property
    def registry(self) -> Registry:
        return self._source if isinstance(self._source, Registry) else self._source()

    def answer(self, call: Call, request: Request) -> bytes | AsyncAnswer:
        """The text of the answer, or an AsyncAnswer for an asynchronous method. Neither raises."""
        try:
            method = self._find(call, request.method)
            params = _params(method, request)
            if method.asynchronous:
                if method.at_once is not None and (payload := method.at_once(call, params)) is not None:
                    return encode_response(request.id, payload)
                begin = partial(_answer_async, replace(call, request_id=request.id), method, params)
                return AsyncAnswer(begin, method.scope == READ)
            return encode_response(request.id, method.handler(call, params))
        except Exception as error:
            return _refusal(call, request.id, request.method, error)

    def _find(self, call: Call, name: str) -> Method:
        found = self.registry.find(name, call.peer.protocol)
        if found is None:
            raise RpcError(f"unknown method: {cut(name)}")
        if error := found.refuse(call.peer):
            raise RpcError(error)
        if found.budgeted and (error := self._budget.spend(name, call)):
            raise RpcError(error)
        return found


def _params(method: Method, request: Request) -> Params:
    try:
        return decode_params(request.params, method.params)
    except InvalidParams as fault:
        raise RpcError(f"invalid {method.name} params: {fault}") from None


async def _answer_async(call: Call, method: Method, params: Params) -> bytes:
    # The request must not be referenced here: its raw params are the whole message, and the answer may take hours.
    try:
        return encode_response(call.request_id, await method.handler(call, params))
    except Exception as error:
        return _refusal(call, call.request_id, method.name, error)


def _refusal(call: Call, id: str, method: str, error: Exception) -> bytes:
    if isinstance(error, RpcError):
        return encode_error(id, error.wire)
    log.error("%s failed for %s", method, call.connection.id, exc_info=error)
    return encode_error(id, WireError("UNAVAILABLE", "internal error; the gateway's log has the details"))
