"""Anything at all over a real socket: the gateway answers or closes as documented; its log stays short and clean."""

import json
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.rpc.methods import METHODS
from tests.effort import examples
from tests.wire.raw import (
    CLOSE,
    PING,
    PONG,
    RawClient,
    RawScene,
    close,
    connect_request,
    faults,
    frame,
    request,
    run,
    text,
)

DOCUMENTED = {None, 1000, 1002, 1003, 1007, 1008, 1009}
"""The codes with which a connection may end that is the client's fault; None: it asked for the end without a code."""
NEVER = {"gateway.restart.request"}
"""Would be obeyed."""
few = settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=400)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
names = st.sampled_from(sorted({each.name for each in METHODS} - NEVER) + ["connect"]) | st.text(max_size=500)
frames = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["req", "res", "event"]) | scalars,
        "id": st.text(max_size=400) | values,
        "method": names | values,
        "params": values,
    },
)
requests = st.builds(request, st.text(min_size=1, max_size=200), names, values)
said = st.one_of(
    st.binary(max_size=600).map(text),
    values.map(lambda value: text(json.dumps(value))),
    frames.map(text),
    requests.map(text),
)
any_frame = st.builds(
    frame,
    st.integers(0, 15),
    st.binary(max_size=300),
    st.booleans(),
    st.integers(0, 7),
    st.sampled_from([True, True, False]),
)


@pytest.fixture(autouse=True)
def loud(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "gateway")
    caplog.set_level(logging.ERROR, "uvicorn")


async def ends_well(client: RawClient) -> None:
    """It answers a ping after all that, or has closed with a code of ours."""
    client.send(frame(PING, b"alive"))
    while (got := await client.next()) is not None:
        if got.opcode == CLOSE:
            assert got.code in DOCUMENTED, got
            client.send(frame(CLOSE, got.payload))
        if (got.opcode, got.payload) == (PONG, b"alive"):
            client.send(close(1000))


def attack(caplog: pytest.LogCaptureFixture, data: list[bytes], greeted: bool) -> None:
    async def play(it: RawScene) -> None:
        client = await it.client()
        await client.upgrade()
        if greeted:
            await client.hello()
        for each in data:
            client.send(each)
        await ends_well(client)
        await it.empty()

    caplog.clear()
    run(play)
    assert faults(caplog.records) == []


@few
@given(data=st.lists(said, min_size=1, max_size=12))
@pytest.mark.parametrize("greeted", [False, True], ids=["before hello", "after hello"])
def test_any_text(caplog: pytest.LogCaptureFixture, greeted: bool, data: list[bytes]) -> None:
    attack(caplog, data, greeted)


@few
@given(data=st.lists(any_frame, min_size=1, max_size=12))
@pytest.mark.parametrize("greeted", [False, True], ids=["before hello", "after hello"])
def test_any_frames(caplog: pytest.LogCaptureFixture, greeted: bool, data: list[bytes]) -> None:
    attack(caplog, data, greeted)


@few
@given(data=st.binary(min_size=1, max_size=2000))
@pytest.mark.parametrize("greeted", [False, True], ids=["before hello", "after hello"])
def test_any_bytes(caplog: pytest.LogCaptureFixture, greeted: bool, data: bytes) -> None:
    async def play(it: RawScene) -> None:
        client = await it.client()
        await client.upgrade()
        if greeted:
            await client.hello()
        client.send(data)
        client.shut_half()  # what is random may be the beginning of a frame that never ends
        await client.end()
        await it.empty()

    caplog.clear()
    run(play)
    assert faults(caplog.records) == []


@few
@given(
    values=st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("minProtocol", "maxProtocol", "client", "role", "scopes", "caps", "device", "auth", "locale"), values
        ),
    )
)
def test_any_connect(caplog: pytest.LogCaptureFixture, values: dict[str, Any]) -> None:
    params = connect_request()["params"] | values
    attack(caplog, [text(request("c", "connect", params)), text(request())], greeted=False)


@few
@given(words=st.text(min_size=300, max_size=5000))
def test_the_words_of_a_client_stay_out_of_the_log(caplog: pytest.LogCaptureFixture, words: str) -> None:
    params = connect_request()["params"]
    client = params["client"] | {"id": words[:150], "version": words[:150], "mode": words[:150]}
    attack(caplog, [text(request(words, words)), text(words)], greeted=False)
    attack(caplog, [text(request(words, words)), text(words)], greeted=True)
    attack(caplog, [text(request(words, "connect", params | {"client": client}))], greeted=False)
    attack(caplog, [text(request(words, "connect", params | {"role": words}))], greeted=False)
