"""`POST /v1/chat/completions`: a run for each request, answered when it is over or, as a stream, while it goes on.

The run does not belong to the connection: it goes on when the gateway restarts, and so does the answer, in the next
process on the same connection. A request with the same `Idempotency-Key` gets the answer from its beginning. A client
that goes away ends the run that its request has begun.
"""

import asyncio
import logging
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from starlette.types import Receive, Scope, Send

from gateway.machine.clock import now_ms
from gateway.rpc.core import Core
from gateway.runs.following import BEGINNING, Broken, Cursor, Reader
from gateway.serving import scopes
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import RunRequest
from gateway.sessions.transactions import QueueFull, SendDenied
from gateway.web.http.responses import ClientGone, Response, headers_of, read_body
from gateway.web.openai import retries
from gateway.web.openai.answers import (
    API,
    FORBIDDEN,
    ID,
    INVALID,
    NOTHING,
    RATE,
    SILENCE,
    Chunks,
    Error,
    broken,
    completion,
    error,
    failure,
)
from gateway.web.openai.requests import BadRequest, decode, fingerprint, prompt
from gateway.web.openai.targets import DEFAULTS, target

if TYPE_CHECKING:
    from gateway.serving.answering import Answering

log = logging.getLogger("gateway.http")

SILENCE_S = 15.0
"""Seconds after which a stream without a piece sends a comment: proxies cut a connection that is idle for a minute."""
MAX_PIECE = 16 * 1024
"""Characters of one chunk, where a client reads more slowly than the model writes."""
MAX_KEY = 256
"""Characters of an idempotency key."""
RESTARTING = Error(
    "The gateway is restarting. Ask again; with the same Idempotency-Key the answer goes on.", API, "restarting"
)
VOID = Error("The answer broke off and began anew; what was sent of it does not hold. Ask again.", API, "began_anew")
_SSE = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class Going(Struct):
    """An answer that is not complete yet, as another process goes on with it. Fields keep their names."""

    run: str
    session: str
    accepted: int
    """Milliseconds since 1970."""
    owned: bool
    """This request, or an earlier try of it, has begun the run."""
    model: str
    """The client's name for it."""
    stream: bool
    usage: bool
    """Whether a stream ends with the usage."""
    retry: str | None = None
    """The mark by which a retry of this request is recognised (`retries.mark`)."""
    said: bool = False
    """Whether a stream has sent a piece."""
    place: Cursor = BEGINNING


def is_resumed(scope: Scope) -> bool:
    """Whether another process has admitted the request."""
    offered = scope.get("extensions", {}).get(scopes.ANSWERING)
    return offered is not None and offered["answering"].resumed is not None


async def complete(core: Core, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an admitted request, or go on with an answer that another process has begun."""
    answering: Answering = scope["extensions"][scopes.ANSWERING]["answering"]
    try:
        if answering.resumed is not None:
            going = msgspec.msgpack.decode(answering.resumed, type=Going)
        else:
            going = await _accept(core, headers_of(scope), await read_body(receive))
    except ClientGone:
        return
    except BadRequest as refusal:
        answer = _refusal(400, str(refusal), INVALID)
    except _Denied as denied:
        answer = denied.answer
    except QueueFull as full:
        answer = _refusal(429, f"{full}; wait for an answer, or stop one", RATE, {"retry-after": "2"})
    except StorageFailed as failed:
        answer = _unavailable(failed)
    else:
        await _Answer(core, going, scope, receive, send).serve()
        return
    await answer(scope, receive, send)


class _Denied(Exception):
    def __init__(self, status: int, message: str, type: str) -> None:
        self.answer = _refusal(status, message, type)


def _refusal(status: int, message: str, type: str, headers: Mapping[str, str] = {}) -> Response:
    return Response(error(message, type), status, headers, media_type="application/json")


def _unavailable(why: StorageFailed) -> Response:
    return _refusal(503, str(why), API, {"retry-after": "2"})


async def _accept(core: Core, headers: Mapping[str, str], body: bytes) -> Going:
    asked = decode(body)
    named = asked.model or DEFAULTS[0]
    whom = target(core, headers, named, None if asked.user is None else str(asked.user))
    what = prompt(asked, now_ms())
    mark = fingerprint(what, whom.agent, whom.model, whom.session if whom.keeps else None)
    request = RunRequest(
        what.prompt,
        model=whom.model,
        system=what.system,
        context=what.context,
        lane="http",
        keeps=whom.keeps,
        mark=mark,
    )
    again = None if asked.stream else retries.mark(headers, mark, core.config.gateway.auth.trusted_proxy.user_header)
    before = retries.KNOWN.rejoin(again) if again and retries.is_retry(headers) else None
    id = before or _run_id(headers)
    if again and before is None:
        retries.KNOWN.begin(again, id)  # before the run begins: a retry may come while it does
    try:
        run, fresh = await core.conversations.submit(id, whom.session, request)
    except SendDenied as error:
        raise _Denied(403, str(error), FORBIDDEN) from None
    if run.request.mark != mark:
        raise _Denied(422, "This Idempotency-Key was used for another request.", INVALID)
    owned = fresh or before is not None
    return Going(run.id, run.session, run.accepted, owned, named, bool(asked.stream), asked.wants_usage, again)


def _run_id(headers: Mapping[str, str]) -> str:
    key = headers.get("idempotency-key")
    if key is None:
        return f"{ID}{uuid.uuid4()}"
    if not 0 < len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
        raise BadRequest(f"Idempotency-Key must be 1 to {MAX_KEY} printable ASCII characters")
    return key


class _Answer:
    """One answer, until it is complete or its client has gone."""

    def __init__(self, core: Core, going: Going, scope: Scope, receive: Receive, send: Send) -> None:
        self._core = core
        self._going = going
        self._reader: Reader = core.conversations.follow(going.run, going.place)
        self._answering: Answering = scope["extensions"][scopes.ANSWERING]["answering"]
        if self._answering.resumed is not None:
            # At once: pieces from now on are not in the state that the process before has left.
            self._offer()
        self._scope = scope
        self._receive = receive
        self._send = send
        self._chunks = Chunks(going.run, going.accepted, going.model)

    async def serve(self) -> None:
        work, gone = asyncio.create_task(self._work()), asyncio.create_task(self._until_disconnect())
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await self._abandon()
        finally:
            work.cancel()
            gone.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
            self._reader.close()
        if not work.cancelled():
            work.result()

    async def _work(self) -> None:
        try:
            await self._core.conversations.end_if_over(self._going.run)
        except StorageFailed as failed:
            self._answering.withdraw()
            if self._answering.begun:
                await self._end(broken(Error(str(failed), API)))
            else:
                await _unavailable(failed)(self._scope, self._receive, self._send)
        else:
            await (self._stream() if self._going.stream else self._whole())

    async def _until_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _abandon(self) -> None:
        """The client has gone, or the gateway leaves. Only in the first case the run is ended."""
        run, retry = self._going.run, self._going.retry
        if self._going.owned and not self._answering.given_up:
            log.info("the client of run %s has gone", run)
            if retry is not None:
                retries.KNOWN.leave(retry, run, self._abort)
            else:
                await self._abort()

    async def _abort(self) -> None:
        run = self._going.run
        try:
            await self._core.conversations.abort(self._going.session, run)
        except StorageFailed as problem:
            log.error("run %s goes on although its client has gone: %s", run, problem)

    def _offer(self) -> None:
        self._answering.offer(self._state, broken(RESTARTING))

    def _state(self) -> bytes:
        return msgspec.msgpack.encode(msgspec.structs.replace(self._going, place=self._reader.cursor()))

    async def _whole(self) -> None:
        self._offer()
        run = await self._reader.ended()
        if run is not None and run.state in ("done", "aborted"):
            answer = Response(completion(run, self._going.model), media_type="application/json")
        else:
            status, why = failure(run)
            # The agent has retried as often as is useful, and a retry of the client would be another message.
            headers = {"x-should-retry": "false"}
            answer = Response(error(why.message, why.type, why.code), status, headers, media_type="application/json")
        self._answering.withdraw()
        await answer(self._scope, self._receive, self._send)

    async def _stream(self) -> None:
        if self._answering.resumed is None:
            await self._send({"type": "http.response.start", "status": 200, "headers": _SSE})
            await self._send({"type": "http.response.body", "body": self._chunks.role(), "more_body": True})
            self._offer()
        await self._answering.taken()
        await self._end(await self._pieces())

    async def _end(self, body: bytes) -> None:
        self._answering.withdraw()
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _pieces(self) -> bytes:
        """Write the pieces; return the bytes with which the stream ends."""
        try:
            while piece := await self._next():
                self._going.said = True
                await self._answering.write(self._chunks.content(piece))
        except Broken:
            return broken(VOID)
        run = await self._reader.ended()
        if run is None or run.state not in ("done", "aborted"):
            return broken(failure(run)[1])
        nothing = b"" if self._going.said else self._chunks.content(NOTHING)
        return nothing + self._chunks.end(run, with_usage=self._going.usage)

    async def _next(self) -> str:
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    return await self._reader.read(MAX_PIECE)
            except TimeoutError:
                await self._answering.write(SILENCE)
