"""Lines of the link in both directions: what an agent hears of whoever connects to it, and the gateway of an agent.

The first byte says who hears. The rest is messages by their types, nearly right, and any bytes between them.
"""

import asyncio
from typing import Any
from unittest.mock import patch

import msgspec

from gateway.agent import link as agent_link
from gateway.agent import runs as agent_runs
from gateway.agent.runs import AgentRuns
from gateway.link import client
from gateway.link.messages import ToAgent, ToGateway, decode_to_agent, decode_to_gateway, encode
from gateway.link.stream import Stream
from gateway.text.lines import LineSplitter, LineTooLong
from tests.agent.scripted import Scripted
from tests.fuzz.source import Source, compact
from tests.fuzz.stage import Stage, Transcript, turns
from tests.link.ends import Notes

RUNS = ("r", "s", "t")
MAX_LINE = 4096
TOKENS = [
    b'{"type":"hello","version":1}\n',
    b'{"type":"welcome","version":1,"pid":1,"program":"x","runs":[]}\n',
    b'"kind":',
]


def one(data: bytes) -> None:
    source = Source(data, words=(*RUNS, "", "é", "\0", "x" * 300))
    to_agent = source.chance()
    pieces = spoken(source, ToAgent if to_agent else ToGateway)
    decode: Any = decode_to_agent if to_agent else decode_to_gateway
    for line in b"".join(pieces).split(b"\n"):
        round_trip(line, decode)
    same_lines(b"".join(pieces), pieces)
    with Stage(strict=False) as stage:
        stage.play(hear_as_agent(pieces) if to_agent else hear_as_gateway(stage, pieces))


def spoken(source: Source, kind: Any) -> list[bytes]:
    """What comes with each read."""
    pieces, now = [], b""
    if not source.chance(8):
        first = (
            {"type": "hello", "version": 1}
            if kind is ToAgent
            else {"type": "welcome", "version": 1, "pid": 1, "program": "x"}
        )
        now = compact(first | {"runs": {} if kind is ToAgent else []}) + b"\n"
    while source.more:
        if source.chance(4):
            now += source.bytes(60)
        else:
            line = compact(source.of(kind))
            now += line[: source.byte() % (len(line) + 1)] if source.chance(16) else line + b"\n"
        if source.chance():
            pieces.append(now)
            now = b""
    return [*pieces, now]


def round_trip(line: bytes, decode: Any) -> None:
    try:
        message = decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return
    assert decode(encode(message)) == message


def same_lines(whole: bytes, pieces: list[bytes]) -> None:
    """However they come."""
    outcomes = []
    for reads in ([whole], pieces):
        lines, found = LineSplitter(256), []
        try:
            for read in reads:
                found += lines.feed(read)
        except LineTooLong:
            found = [b"too long"]
        outcomes.append(found)
    assert outcomes[0] == outcomes[1]


async def hear_as_agent(pieces: list[bytes]) -> None:
    runs = AgentRuns(lambda run: link.on_event(run), lambda: None)
    link = agent_link.LinkServer(runs)
    with patch.object(agent_link, "MAX_LINE", MAX_LINE), patch.object(agent_runs, "RunLoop", Scripted):
        reader, writer, transport = stream()
        serving = asyncio.create_task(link.serve(reader, writer))
        for piece in pieces:
            if not transport.closed:
                reader.feed_data(piece)
            await turns(6)
            for script in Scripted.by_session.values():
                script.end()
        reader.feed_eof()
        await turns()
        assert serving.done(), "it goes on after the end"
        serving.result()
        for line in transport.written.split(b"\n")[:-1]:
            decode_to_gateway(line)
        Scripted.by_session.clear()
        await runs.end_all()


async def hear_as_gateway(stage: Stage, pieces: list[bytes]) -> None:
    notes = Forgiving(stored={"r": 0, "s": 7})
    reader, writer, transport = stream()

    async def dial() -> Stream:
        if transport.closed:
            raise ConnectionRefusedError
        return reader, writer

    link = client.AgentLink(notes, dial, stage.loop.time)
    link.wake()
    await turns()
    for piece in pieces:
        reader.feed_data(piece)
        await turns(6)
    reader.feed_eof()
    await turns()
    assert transport.closed, "it listens after the end"
    for line in transport.written.split(b"\n")[:-1]:
        if line:
            decode_to_agent(line)
    await link.close()


class Forgiving(Notes):
    """An heir that is told of runs that it does not have."""

    def lost(self, run: str) -> None:
        self.stored.pop(run, None)
        self.gone.append(run)


def stream() -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Transcript]:
    reader = asyncio.StreamReader(limit=MAX_LINE)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport = Transcript(None)
    transport.protocol = protocol
    protocol.connection_made(transport)
    return reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop()), transport
