import asyncio
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from gateway.serving.inbox import Inbox
from tests.slack import LIMIT_S


def message(text: str) -> dict[str, Any]:
    return {"type": "websocket.receive", "text": text.encode()}


def unread(inbox: Inbox) -> list[Any]:
    server = ServerProtocol(state=State.OPEN)
    server.receive_data(b"".join(inbox.unread()))
    return [(frame.opcode, frame.data) for frame in server.events_received() if isinstance(frame, Frame)]


def test_messages_are_taken_in_order_and_the_wait_for_more_is_told() -> None:
    waits: list[bool] = []

    async def test() -> None:
        inbox = Inbox(lambda: waits.append(inbox.waiting))
        taking = asyncio.create_task(inbox.get())
        await asyncio.sleep(0)
        assert waits == [True] and inbox.empty()
        inbox.put_nowait(message("1"))
        assert not inbox.waiting and not taking.done()
        inbox.put_nowait({"type": "websocket.receive", "bytes": b"2"})
        assert unread(inbox) == [(Opcode.TEXT, b"1"), (Opcode.BINARY, b"2")]
        assert (await taking)["text"] == b"1" and (await inbox.get())["bytes"] == b"2"
        assert inbox.empty() and inbox.unread() == []

    asyncio.run(asyncio.wait_for(test(), LIMIT_S))


def test_a_frozen_inbox_gives_out_the_disconnect_alone() -> None:
    async def test() -> None:
        inbox = Inbox(lambda: None)
        inbox.put_nowait(message("1"))
        inbox.freeze()
        taking = asyncio.create_task(inbox.get())
        await asyncio.sleep(0)
        assert not taking.done() and not inbox.waiting and unread(inbox) == [(Opcode.TEXT, b"1")]
        inbox.put_nowait({"type": "websocket.disconnect", "code": 1006})
        assert (await taking)["type"] == "websocket.disconnect" and unread(inbox) == [(Opcode.TEXT, b"1")]

    asyncio.run(asyncio.wait_for(test(), LIMIT_S))
