"""What methods of conversations share: a session's key, a prompt with pictures, and refusals in the wire's words."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from msgspec import Meta

from gateway.conversations import media
from gateway.conversations.media import MAX_FILE, Attachment, NotKept
from gateway.link.spec import Message
from gateway.machine.clock import now_ms
from gateway.protocol.frames import RpcError, WireError
from gateway.protocol.params import cut
from gateway.rpc.registry import Call
from gateway.sessions.database import StorageFailed
from gateway.sessions.keys import BadKey
from gateway.sessions.transactions import QueueFull, SendDenied

MAX_IMAGE = 5_000_000
"""Bytes of one attached image."""
MAX_ATTACHED = 20
DRAWINGS = ("image/svg+xml",)
"""Texts that no provider takes for a picture."""
RunId = Annotated[str, Meta(min_length=1, max_length=512)]
"""Of a run: the client's idempotency key."""
T = TypeVar("T")


def session_key(call: Call, text: str) -> str:
    """The canonical key of the session that a client means; refused if it cannot be one."""
    try:
        return call.core.conversations.sessions.key(text)
    except BadKey as error:
        raise RpcError(str(error)) from None


async def stored(work: Awaitable[T]) -> T:
    """What the database says, its failures as refusals that may be tried again."""
    try:
        return await work
    except StorageFailed as error:
        raise RpcError(WireError("UNAVAILABLE", str(error), retryable=True)) from None
    except SendDenied as error:
        raise RpcError(str(error)) from None
    except QueueFull as error:
        refusal = f"{error}; wait for an answer, or stop one"
        raise RpcError(WireError("UNAVAILABLE", refusal, retryable=True, retry_after_ms=2000)) from None


@dataclass(frozen=True)
class UserMessage:
    """What a user says."""

    text: str
    images: list[dict[str, Any]]
    """As a message has them."""
    files: list[Attachment]
    """What else is attached."""

    def message(self, text: str) -> Message:
        content: list[dict[str, Any]] = [{"type": "text", "text": text}, *self.images] if text else self.images
        return {"role": "user", "content": content, "timestamp": now_ms()}


def prompt(text: str, attachments: Sequence[Any] | None) -> Message:
    """A message of a user's. Raises RpcError for what no model could be shown."""
    said = read(text, attachments)
    for file in said.files:
        raise RpcError(f"attachment {cut(file.name)}: only images can be attached, and this is {cut(file.mime)}")
    return said.message(text)


@asynccontextmanager
async def kept(call: Call, run: str, said: UserMessage) -> AsyncIterator[Message]:
    """The message of a run. Its files are kept where the agent's tools find them, if it is taken."""
    files = said.files
    if not files or await stored(call.core.conversations.store.run(run)) is not None:  # its files are there already
        yield said.message(said.text)
        return
    try:
        paths = await asyncio.to_thread(media.keep, call.core.paths.state, files)
    except NotKept as error:
        raise RpcError(WireError("UNAVAILABLE", str(error))) from None
    try:
        yield said.message(media.told(said.text, files, paths))
    except RpcError:
        # Whoever is cancelled here has asked all the same, and a commit that is said to fail may have been made.
        with suppress(StorageFailed):
            if await call.core.conversations.store.run(run) is None:
                await asyncio.to_thread(media.drop, paths)
        raise


def read(text: str, attachments: Sequence[Any] | None) -> UserMessage:
    """Raises RpcError for what is no attachment, or too large."""
    if len(attachments or ()) > MAX_ATTACHED:
        raise RpcError(f"at most {MAX_ATTACHED} attachments")
    found = [_attached(each, number) for number, each in enumerate(attachments or (), 1)]
    if not text.strip() and not found:
        raise RpcError("message or attachment required")
    files = [each for each in found if isinstance(each, Attachment)]
    return UserMessage(text, [each for each in found if isinstance(each, dict)], files)


def _attached(attached: Any, number: int) -> dict[str, Any] | Attachment:
    """`{type, mimeType, fileName, content}`, its content in base64, bare or as a data URL."""
    if not isinstance(attached, dict) or not isinstance(content := attached.get("content"), str):
        raise RpcError(f"attachment {number}: content must be base64 string")
    name = cut(str(attached.get("fileName") or number))
    head, comma, rest = content.partition(",")
    called = str(attached.get("fileName") or "")
    told = attached.get("mimeType") or (head.removeprefix("data:").partition(";")[0] if comma else "")
    kind, data = media.kind_of(told, called), rest if comma else content
    is_image = kind.startswith("image/") and kind not in DRAWINGS
    limit = MAX_IMAGE if is_image else MAX_FILE
    if (about := len(data) // 4 * 3) > limit + 2:
        raise RpcError(f"attachment {name}: exceeds size limit ({about} > {limit} bytes)")
    try:
        size = len(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        raise RpcError(f"attachment {name}: invalid base64 content") from None
    if size > limit:
        raise RpcError(f"attachment {name}: exceeds size limit ({size} > {limit} bytes)")
    if not is_image:
        return Attachment(called, kind, data)
    return {"type": "image", "data": data, "mimeType": kind}
