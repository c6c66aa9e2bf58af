"""Functions for methods of conversations: session keys, prompts with attachments, and errors as refusals."""

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
"""Attachments of one message."""
DRAWINGS = ("image/svg+xml",)
"""Types of images that are text: no provider accepts them as a picture."""
RunId = Annotated[str, Meta(min_length=1, max_length=512)]
"""The id of a run: the client's idempotency key."""
T = TypeVar("T")


def session_key(call: Call, text: str) -> str:
    """The canonical key of the session that a client names. Raises RpcError if it cannot be one."""
    try:
        return call.core.conversations.sessions.key(text)
    except BadKey as error:
        raise RpcError(str(error)) from None


async def or_refuse(work: Awaitable[T]) -> T:
    """The result of `work`; failures of the database and of the queue become RpcError."""
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
    """A user's message with its attachments."""

    text: str
    images: list[dict[str, Any]]
    """Content blocks: `{type: "image", data: base64, mimeType}`."""
    files: list[Attachment]
    """Attachments that are no images."""

    def message(self, text: str) -> Message:
        content: list[dict[str, Any]] = [{"type": "text", "text": text}, *self.images] if text else self.images
        return {"role": "user", "content": content, "timestamp": now_ms()}


def prompt(text: str, attachments: Sequence[Any] | None) -> Message:
    """A user's message whose attachments are all images. Raises RpcError for others."""
    said = user_message(text, attachments)
    for file in said.files:
        raise RpcError(f"attachment {cut(file.name)}: only images can be attached, and this is {cut(file.mime)}")
    return said.message(text)


@asynccontextmanager
async def with_kept_files(call: Call, run: str, said: UserMessage) -> AsyncIterator[Message]:
    """The message of a run. Its files are stored for the agent's tools, and removed if the run is refused.

    Raises RpcError.
    """
    files = said.files
    if not files or await or_refuse(call.core.conversations.store.run(run)) is not None:  # its files are stored already
        yield said.message(said.text)
        return
    try:
        paths = await asyncio.to_thread(media.keep, call.core.paths.state, files)
    except NotKept as error:
        raise RpcError(WireError("UNAVAILABLE", str(error))) from None
    try:
        yield said.message(media.told(said.text, files, paths))
    except RpcError:
        # A cancelled request may still be accepted, and a commit that failed may have been made: look first.
        with suppress(StorageFailed):
            if await call.core.conversations.store.run(run) is None:
                await asyncio.to_thread(media.drop, paths)
        raise


def user_message(text: str, attachments: Sequence[Any] | None) -> UserMessage:
    """A user's message. Raises RpcError for an attachment that is malformed or too large."""
    if len(attachments or ()) > MAX_ATTACHED:
        raise RpcError(f"at most {MAX_ATTACHED} attachments")
    found = [_attached(each, number) for number, each in enumerate(attachments or (), 1)]
    if not text.strip() and not found:
        raise RpcError("message or attachment required")
    files = [each for each in found if isinstance(each, Attachment)]
    return UserMessage(text, [each for each in found if isinstance(each, dict)], files)


def _attached(attached: Any, number: int) -> dict[str, Any] | Attachment:
    """An image as a content block, or another file. Raises RpcError.

    `attached`: `{type, mimeType, fileName, content}`, its content in base64 or a data URL.
    """
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
