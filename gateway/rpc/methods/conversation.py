"""What methods of conversations share: a session's key, a prompt with pictures, and refusals in the wire's words."""

import base64
import binascii
import time
from collections.abc import Awaitable, Sequence
from typing import Annotated, Any, TypeVar

from msgspec import Meta

from gateway.link.messages import Message
from gateway.protocol.frames import WireError
from gateway.protocol.params import cut
from gateway.rpc.registry import Call, RpcError
from gateway.sessions.database import StorageFailed
from gateway.sessions.keys import BadKey
from gateway.sessions.transactions import QueueFull, SendDenied

MAX_IMAGE = 5_000_000
"""Bytes of one attached image."""
MAX_IMAGES = 20
RunId = Annotated[str, Meta(min_length=1, max_length=512)]
"""Of a run: the client's idempotency key."""
T = TypeVar("T")


def session_key(call: Call, text: str) -> str:
    """The canonical key of the session that a client means; refused if it cannot be one."""
    try:
        return call.core.conversations.key(text)
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


def prompt(text: str, attachments: Sequence[Any] | None) -> Message:
    """A message of a user's. Raises RpcError for what no model could be shown."""
    if len(attachments or ()) > MAX_IMAGES:
        raise RpcError(f"at most {MAX_IMAGES} attachments")
    images = [_image(each, number) for number, each in enumerate(attachments or (), 1)]
    if not text.strip() and not images:
        raise RpcError("message or attachment required")
    content: list[dict[str, Any]] = [{"type": "text", "text": text}, *images] if text else images
    return {"role": "user", "content": content, "timestamp": int(time.time() * 1000)}


def _image(attached: Any, number: int) -> dict[str, Any]:
    """`{type, mimeType, fileName, content}`, its content in base64, bare or as a data URL."""
    if not isinstance(attached, dict) or not isinstance(content := attached.get("content"), str):
        raise RpcError(f"attachment {number}: content must be base64 string")
    name = cut(str(attached.get("fileName") or number))
    head, comma, rest = content.partition(",")
    kind = attached.get("mimeType") or (head.removeprefix("data:").partition(";")[0] if comma else "")
    if not isinstance(kind, str) or not kind.startswith("image/"):
        raise RpcError(f"attachment {name}: only images can be attached, and this is {cut(str(kind)) or 'unknown'}")
    data = rest if comma else content
    try:
        size = len(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        raise RpcError(f"attachment {name}: invalid base64 content") from None
    if size > MAX_IMAGE:
        raise RpcError(f"attachment {name}: exceeds size limit ({size} > {MAX_IMAGE} bytes)")
    return {"type": "image", "data": data, "mimeType": kind}
